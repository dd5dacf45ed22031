"""Webhooks whose receivers accept and never answer: they take a bounded part of the file descriptors, and others get in."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.webhooks.turns import MOST_ATTEMPTS
from tests.conftest import TWISTD, Server, assert_clean
from tests.contract.support import API_KEY, API_SECRET, by_query
from tests.memory import World
from tests.webhook_receiver import Receiver
from tests.wire import Connection, eventually

MOST = 8
"""Requests that are under way at once with 256 file descriptors."""
GOOD = Account(API_KEY, (API_SECRET,), webhook="http://10.9.8.7:8000/good")
HANGING = tuple(
    Account(f"hanging{number}", (API_SECRET,), webhook=f"http://10.9.8.7:8000/hanging{number}") for number in range(60)
)


@pytest.fixture(autouse=True)
def _few_descriptors(request, monkeypatch):
    if "make_narrow" not in request.fixturenames:
        monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 256))


def make_world(*accounts, **settings):
    return World(*accounts, webhook_networks=(ip_network("10.9.8.7"),), **settings)


@pytest.mark.memory
def test_requests_that_hang_are_bounded_and_lose_nothing():
    receiver = Receiver(make_world(*HANGING))
    receiver.answer, answer = None, receiver.answer
    for _ in range(30):
        receiver.run(1)
        assert receiver.connections <= MOST
    assert len(receiver.requests) == MOST * 4
    # Each second turn is that of an account which has not failed yet.
    assert len({request.target for request in receiver.requests}) == MOST * 3
    by_query(receiver.worlds[0], "websocket", "identifiers=chat", key=HANGING[0].api_key)
    receiver.answer = answer
    receiver.run(80)
    told = {account.api_key: [] for account in HANGING}
    for request in receiver.requests:
        told[request.target.strip("/")] += [event["type"] for event in request.events]
    assert all(set(types) <= {"reset", "occupied"} for types in told.values())
    assert all(types[-1] == "reset" for api_key, types in told.items() if api_key != HANGING[0].api_key)
    assert told[HANGING[0].api_key][-2:] == ["reset", "occupied"]


@pytest.mark.memory
def test_receiver_that_answers_waits_for_one_that_hangs():
    world = make_world(GOOD, *HANGING)
    receiver = Receiver(world)
    receiver.answers = {f"/{account.api_key}": None for account in HANGING}
    receiver.run(120)  # each has hung once
    for number in range(5):
        by_query(world, "websocket", f"identifiers=n{number}")
        events = receiver.run(12)
        assert [event.get("identifier") for event in events if event["type"] == "occupied"] == [f"n{number}"]


@pytest.mark.memory
def test_connections_that_stay_open_count():
    receiver = Receiver(make_world(*HANGING))
    receiver.lingers = True
    for _ in range(60):
        receiver.run(1)
        assert receiver.connections <= MOST
    assert len(receiver.requests) == len(HANGING)


@pytest.mark.memory
def test_request_makes_few_connections_at_once():
    world = make_world(Account(API_KEY, (API_SECRET,), webhook="https://hooks.example.org/"))
    world.names.addresses["hooks.example.org"] = [f"93.184.216.{number}" for number in range(12)]
    for _ in range(16):
        world.advance(0.3)
    assert len(world.reactor.connectors) == 12
    assert sum(not connector.stoppedConnecting for connector in world.reactor.connectors) == MOST_ATTEMPTS


@pytest.mark.memory
def test_account_that_goes_waits_no_longer():
    world = make_world(*HANGING)
    receiver = Receiver(world, answer=None)
    receiver.run(3)
    world.server.change_accounts(Settings((HANGING[-1],)))
    receiver.pump()
    assert receiver.connections == 1
    assert receiver.requests[-1].target == f"/{HANGING[-1].api_key}"
    assert len(receiver.requests) == MOST + 1


@pytest.mark.memory
def test_many_hosts_that_cannot_exist_fail_one_after_another():
    accounts = [Account(f"odd{number}", (API_SECRET,), webhook="https://a..b/") for number in range(2000)]
    world = make_world(*accounts)
    world.advance(3)
    assert all(state.failing_since for state in world.server.webhooks.states())


class Narrow(Server):
    """A server with 200 file descriptors, and accounts whose receiver never answers."""

    twistd: ClassVar = ["prlimit", "--nofile=200:200", *TWISTD]
    url = ""

    def write_config(self) -> None:
        super().write_config()
        with (self.folder / "cometify.toml").open("a") as file:
            for number in range(300):
                file.write(
                    f'[[account]]\napi_key = "u{number}"\napi_secret = "a-secret-of-a-test"\nwebhook = "{self.url}"\n'
                )


@pytest.fixture
def make_narrow(tmp_path: Path) -> Iterator[Narrow]:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        server = Narrow(tmp_path, {"webhook_networks": ["127.0.0.0/8"]}, {})
        server.url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        server.start()
        yield server
        server.stop()
        assert_clean(server.log.read_text())


@pytest.mark.memory
def test_health_answers_while_webhooks_hang_and_ports_are_full(make_narrow):
    with ExitStack() as opened:
        for _ in range(300):
            opened.enter_context(Connection(make_narrow.port))
        used = []

        def has_sent_again():
            assert make_narrow.request("GET", "/health/ready", port=make_narrow.admin_port).status == 200
            used.append(len(list(Path(f"/proc/{make_narrow.pid}/fd").iterdir())))
            metrics = make_narrow.request("GET", "/metrics", port=make_narrow.admin_port).body.decode()
            (line,) = [
                line
                for line in metrics.splitlines()
                if line.startswith("cometify_webhook_requests_total{") and "failed" in line
            ]
            return float(line.rpartition(" ")[2]) >= 6

        eventually(has_sent_again, 30)
        assert max(used) <= 190
    assert "EMFILE" not in make_narrow.log.read_text()
