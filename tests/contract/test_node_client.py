"""The built module in Node, which has no page: no `self`, no document, no events, and before Node 22 no WebSocket."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cometify.http.static_files import STATIC
from tests.conftest import Server
from tests.wire import API_KEY

LISTENER = """
const {{ init }} = await import({module});
const say = (...values) => console.log(JSON.stringify(values));
const listener = init({{
  ...{options},
  callback: (data, id, identifier) => {{
    say('push', data, id, identifier);
    if (data === 'throw') throw new Error('the callback threw this');
    if (data === 'stop') listener.stop();
  }},
}}).start();
listener.on('state', ({{ state, transport }}) => say(state, transport)).on('error', ({{ code }}) => say('error', code));
"""


class NodeListener:
    """A process of Node that listens, and prints a line of JSON for each push and each state."""

    def __init__(self, server: Server, **options: Any) -> None:
        whole = {"apiKey": API_KEY, "server": f"http://127.0.0.1:{server.port}", "identifiers": ["Chat"], **options}
        script = LISTENER.format(module=json.dumps((STATIC / "cometify.mjs").as_uri()), options=json.dumps(whole))
        self.process = subprocess.Popen(
            ["node", "--input-type=module", "--eval", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> Any:
        """The next line. An empty list at the end of the output."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or "[]")

    def connected(self) -> str:
        """Wait until it is connected. Returns the transport."""
        while (line := self.line())[0] != "connected":
            assert line[0] == "connecting", line
        return str(line[1])

    def end(self) -> str:
        """Wait until the process has ended by itself. Returns its error output."""
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        return errors


Listening = Callable[..., NodeListener]


@pytest.fixture
def listening(server: Server) -> Iterator[Listening]:
    """listening(**options): a new listener in Node, which is ended after the test."""
    begun: list[NodeListener] = []

    def listening(**options: Any) -> NodeListener:
        begun.append(NodeListener(server, **options))
        return begun[-1]

    yield listening
    for listener in begun:
        listener.process.kill()
        listener.process.communicate()


def has_websocket() -> bool:
    command = ["node", "--print", "typeof WebSocket"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "function"


def test_node_listens_and_ends_when_it_is_stopped(server: Server, listening: Listening):
    listener = listening()
    assert listener.connected() == ("websocket" if has_websocket() else "stream")
    server.pushed("chat", "hi", push_id=7)
    server.pushed("chat", "stop")
    assert listener.line() == ["push", "hi", 7, "Chat"]
    assert listener.line() == ["push", "stop", None, "Chat"]
    assert listener.line()[0] == "stopped"
    assert listener.end() == ""


@pytest.mark.parametrize("transport", ["stream", "poll"])
def test_callback_that_throws_costs_node_no_push(server: Server, listening: Listening, transport: str):
    listener = listening(transports=[transport])
    assert listener.connected() == transport
    for text in ("throw", "later", "stop"):
        server.pushed("chat", text)
    assert [listener.line()[1] for _ in range(3)] == ["throw", "later", "stop"]
    assert "the callback threw this" in listener.end()


def test_since_resumes_in_node(server: Server, listening: Listening):
    since = server.pushed("chat", "before")
    server.pushed("chat", "after")
    listener = listening(since=since)
    listener.connected()
    assert listener.line()[1] == "after"


def test_share_in_node_is_told_and_listens_alone(server: Server, listening: Listening):
    listener = listening(share=True)
    assert listener.line() == ["error", "not_shared"]
    listener.connected()
    server.pushed("chat", "hi")
    assert listener.line()[1] == "hi"
