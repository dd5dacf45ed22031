"""An account with a webhook that is removed leaves nothing behind, although the garbage collector does not look."""

import gc
from collections import Counter
from ipaddress import ip_network

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, by_query
from tests.memory import World
from tests.webhook_receiver import Receiver

OTHER = Account("other", (API_SECRET,))
LARGE = ("NodeChanges", "Report", "WebhookQueue", "_Watched")
"""Classes whose objects hold the identifiers of an account, or its events that wait."""


@pytest.fixture(autouse=True)
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held():
    return Counter(name for item in gc.get_objects() if (name := type(item).__name__) in LARGE)


@pytest.mark.memory
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n", b"", None]
)
@pytest.mark.parametrize("seconds", [0.5, 3, 12, 40])
def test_removed_account_leaves_nothing_of_its_webhook(answer, seconds):
    world = World(OTHER, webhook_networks=(ip_network("10.9.8.7"),))
    receiver = Receiver(world, answer=answer)
    before = held()
    for number in range(3):
        account = Account(API_KEY, (API_SECRET,), webhook=f"http://10.9.8.7:8000/{number}")
        world.server.change_accounts(Settings((OTHER, account)))
        names = ",".join(f"n{number}-{name}" for name in range(60))
        listener = by_query(world, "websocket", f"identifiers={names}")
        receiver.run(seconds)
        listener.lose()
        receiver.run(6)
        assert held() - before
        world.server.change_accounts(Settings((OTHER,)))
        receiver.run(2)
        assert held() - before == Counter()
