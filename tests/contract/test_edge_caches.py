"""Varnish and nginx with their files in deploy/, before a real server: polls that a cache answers."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from bench.campaigns.edge import audience_figures as figures
from bench.rig.audience import Audience
from bench.rig.edge_caches import CACHES, cache_command
from bench.rig.ports import free_ports
from tests.conftest import Server, assert_clean
from tests.wire import API_KEY, API_SECRET, Client, Connection, eventually, request_bytes, secure_key

MANY = 60
"""Listeners of an audience whose every answer is looked at."""
LARGE = 2_100
"""Listeners of one that is counted only. nginx can take each 1024th request for a URL for the first one."""
WITHIN = 60
"""Seconds after which a push counts as lost. Not a promise, because a busy machine takes longer."""
MOST = 2
"""Polls at the server for a push."""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Like an operator's: the address of a listener is the one that the cache tells, and has 30 at most.
    options, account = {"trusted_proxies": ["127.0.0.1"]}, {"edge": True, "listeners_per_ip": 30}
    server = Server(tmp_path_factory.mktemp("origin"), options, account).start()
    yield server
    server.stop()
    assert_clean(server.log.read_text())


@pytest.fixture(scope="module", params=CACHES)
def cache(request: pytest.FixtureRequest, origin: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp(request.param)
    client = Client(*free_ports(1))
    command = cache_command(request.param, folder, client.port, origin.port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def serves() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(OSError):
            return client.request("GET", "/").status == 404
        return False

    eventually(serves)
    yield client
    process.terminate()
    process.wait(10)


def polls(origin: Server) -> int:
    """The polls that the server has had."""
    text = origin.request("GET", "/metrics", port=origin.admin_port).body.decode()
    (line,) = [
        line for line in text.splitlines() if line.startswith('cometify_listeners_joined_total{transport="poll"}')
    ]
    return int(float(line.split()[1]))


async def _listen(cache: Client, origin: Server, name: str) -> None:
    audience = Audience(cache.port, API_KEY, name, MANY)
    sent: list[str] = []

    async def push(count: int = 1) -> None:
        for _ in range(count):
            sent.append(f"push {len(sent)}")
            await asyncio.to_thread(origin.pushed, name, sent[-1])
            await audience.heard(len(sent))
            await asyncio.to_thread(origin.pushed, name, "hidden", 1)

    try:
        await audience.join()
        await push()  # from here on everybody waits for one URL
        before = polls(origin)
        await push(3)
        assert polls(origin) - before <= 3 * MOST
        # Somebody is slow, and comes with a position that nobody waits at any longer.
        slow = audience.listeners[:3]
        for listener in slow:
            listener.waits = True
        await push(3)
        assert all(len(listener.heard) < len(sent) for listener in slow)
        for listener in slow:
            listener.waits = False
            listener.ask()
        await push()
        assert all(listener.heard == sent for listener in audience.listeners)
        assert audience.refused == 0
        assert not any("gap" in listener.kinds for listener in audience.listeners)
        assert not any(b"hidden" in answer for answer in audience.answers)
    finally:
        await audience.leave()


def test_audience_costs_the_server_two_polls_a_push(cache, origin, request):
    name = f"news_{request.node.callspec.params['cache']}"
    asyncio.run(asyncio.wait_for(_listen(cache, origin, name), WITHIN))


def test_large_audience_costs_no_more_than_a_small_one(cache, origin):
    async def count() -> int:
        return await asyncio.to_thread(polls, origin)

    target = figures.Target(cache.port, origin.port, API_KEY, API_SECRET, origin.pid)
    measured = asyncio.run(figures.measure(figures.Audience(LARGE, 3, 2), target, count))
    assert measured.violations("the cache") == []
    assert figures.table({"nothing": measured, "the cache": measured}).count(f"| {LARGE:,} |") == 2


def test_joins_while_an_old_answer_is_renewed_are_one_poll(cache, origin, request):
    path = f"/{API_KEY}/poll?identifiers=joins_{request.node.callspec.params['cache']}"
    cache.request("GET", path)
    time.sleep(2.1)  # the answer is old now
    before = polls(origin)
    with ExitStack() as stack:
        joining = [stack.enter_context(Connection(cache.port, timeout=WITHIN)) for _ in range(20)]
        os.kill(origin.pid, signal.SIGSTOP)
        try:
            for connection in joining:
                connection.send(request_bytes("GET", path))
            time.sleep(0.2)
        finally:
            os.kill(origin.pid, signal.SIGCONT)
        for connection in joining:
            answer = connection.answer()
            assert [frame["type"] for frame in answer.frames] == ["ready", "heartbeat"]
    assert polls(origin) - before <= MOST


def test_violations_are_told():
    measured = figures.Figures(LARGE, 2.5, 0.1, 1, 2, 3, 4)
    assert measured.violations("nginx") == [
        "nginx: 2.5 polls at the server for a push",
        "nginx: 3 pushes were lost and 4 came twice",
    ]


def test_cache_keeps_no_answer_for_one_listener(cache, origin, request):
    name = f"own_{request.node.callspec.params['cache']}"
    began = origin.pushed(name, "shown")
    origin.pushed(name, "hidden", secret=1)
    path = f"/{API_KEY}/poll?identifiers={name}&position={began - 1}"
    before = polls(origin)
    for _ in range(2):
        keyed = cache.request("GET", f"{path}&secureKey={secure_key(name)}")
        assert [frame["text"] for frame in keyed.frames if frame["type"] == "push"] == ["shown", "hidden"]
        assert "private" in keyed.headers["cache-control"]
        named = cache.request("GET", f"{path}&listener=0123456789abcdef")
        assert [frame["text"] for frame in named.frames if frame["type"] == "push"] == ["shown"]
        shared = cache.request("GET", path)
        assert b"hidden" not in shared.body
        assert shared.headers["access-control-allow-origin"] == "*"
    assert polls(origin) - before == 5


def test_cache_passes_on_polls_and_nothing_else(cache, origin):
    for method, path in (
        ("GET", "position"),
        ("GET", "stream?identifiers=chat"),
        ("POST", "push/chat"),
        ("POST", "poll"),
    ):
        answer = cache.request(method, f"/{API_KEY}/{path}", b"" if method == "POST" else None)
        assert answer.status in (403, 404, 405), answer
    refused = cache.request("GET", f"/{API_KEY}/poll?identifiers=no%20name")
    assert (refused.status, refused.json["code"]) == (400, "invalid_identifier")
