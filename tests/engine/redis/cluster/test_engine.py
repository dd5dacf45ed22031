"""The engine of a cluster whose only master is the test: what waits, for how long, and in which order it goes on."""

from typing import Any

import hiredis
import pytest
from twisted.internet.testing import MemoryReactorClock, StringTransport

from cometify.config.redis_url import read_redis_url
from cometify.core.account import Account
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from cometify.engine.redis.cluster.engine import ClusterEngine
from cometify.engine.redis.cluster.redirector import FOLLOW_WITHIN
from cometify.engine.redis.cluster.slot_map import SLOTS
from cometify.engine.redis.first_contact import WAIT_SECONDS
from cometify.engine.redis.kept_figures import MOST_NAMES, SCRIPTS
from cometify.runtime.slices import STEP

SITE = Account("site", ("secret",))
TRYAGAIN = "-TRYAGAIN Multiple keys request during rehashing of slot"
FIRST = 17
"""The place of the first push in a script: behind EVAL, the digest, 2, two keys and twelve arguments."""
CONTROL = {
    b"PING": "+PONG",
    b"SUBSCRIBE": "",
    b"SSUBSCRIBE": "",
    b"SUNSUBSCRIBE": "",
    b"PUBLISH": ":1",
    b"INFO": "$0\r\n",
    b"WAIT": ":1",
}


class Transport(StringTransport):
    """A transport to the master, which answers each command in the same turn. `channels`: those subscribed to over it."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self.world = world
        self.reader = hiredis.Reader()
        self.protocol: Any = None
        self.channels: set[bytes] = set()

    def setTcpNoDelay(self, _is_on: bool) -> None:
        """See ITCPTransport."""

    def write(self, data: bytes) -> None:
        self.reader.feed(data)
        self.world.clock.callLater(0, self.answer)

    def answer(self) -> None:
        count = 0
        while (command := self.reader.gets()) is not False:
            count += 1
            if refusal := self.world.refuses(command):
                self.protocol.dataReceived(refusal.encode() + b"\r\n")
                continue
            for channel in command[1:] if command[0] in (b"SUBSCRIBE", b"SSUBSCRIBE") else ():
                self.channels.add(channel)
                self.protocol.dataReceived(hiredis.pack_command((command[0].lower(), channel, 1)))
            for channel in command[1:] if command[0] == b"SUNSUBSCRIBE" else ():
                self.channels.discard(channel)
                self.protocol.dataReceived(hiredis.pack_command((b"sunsubscribe", channel, 1)))
            reply = self.world.reply(command)
            if reply:
                self.protocol.dataReceived(reply.encode() + b"\r\n")
        self.world.together = max(self.world.together, count)


class World:
    """A node, its clock, and the master. `refusal`: the reply to each push, None if it is taken. `pushed`: those that were.
    `together`: the most commands that were sent in one turn.
    """

    def __init__(self, *accounts: Account, wait: int = 0) -> None:
        self.together = 0
        self.clock = MemoryReactorClock()
        self.is_whole = self.is_there = True
        self.refusal: str | None = None
        self.pushed: list[str] = []
        self.outcomes: list[object] = []
        self.transports: list[Transport] = []
        url = read_redis_url("redis+cluster://10.0.0.1")
        known = accounts or (SITE,)
        self.engine = ClusterEngine(self.clock, url, wait, self.announce, lambda _ring: None, known)
        self.engine.start()

    def announce(self, _ring: object, _push: object) -> None:
        """See IAnnounce."""

    def refuses(self, _command: list[bytes]) -> str:
        """The reply to a command that is refused, "" if it is not."""
        return ""

    def reply(self, command: list[bytes]) -> str:
        if command[0] == b"CLUSTER":
            if command[1] == b"INFO":
                return "$16\r\ncluster_state:ok" if self.is_whole else "$18\r\ncluster_state:fail"
            return f"*1\r\n*3\r\n:0\r\n:{SLOTS - 1}\r\n*3\r\n$8\r\n10.0.0.1\r\n:6379\r\n$2\r\nid"
        if command[0] in (b"EVAL", b"EVALSHA"):
            return self.run(command)
        return CONTROL[command[0]]

    def run(self, command: list[bytes]) -> str:
        if command[3].startswith(b"cometify:{."):
            return ":2"
        if len(command) < FIRST:
            return "-ERR the test has no keys"
        if self.refusal is not None:
            return self.refusal
        names = [name.decode() for name in command[FIRST::3]]
        self.pushed += names
        return "\r\n".join([f"*{len(names)}", *(f":{100 + number}" for number in range(len(names)))])

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            for _host, _port, factory, _timeout, _bind in self.clock.tcpClients if self.is_there else ():
                transport = Transport(self)
                self.transports.append(transport)
                transport.protocol = factory.buildProtocol(None)
                transport.protocol.makeConnection(transport)
            self.clock.tcpClients.clear()
            self.clock.advance(0.01)

    def push(self, name: str, account: Account = SITE) -> None:
        draft = Draft(Identifier.read(name), "x", False, None, None)
        answered = self.engine.append(account, draft)
        answered.addBoth(lambda result: self.outcomes.append(getattr(result, "position", result)))

    @property
    def refused(self) -> list[str]:
        return [f"{outcome.value.detail}" for outcome in self.outcomes if not isinstance(outcome, int)]


@pytest.fixture
def world(request):
    world = getattr(request, "param", World)()
    yield world
    world.engine.stop()
    world.clock.advance(10)


def test_requests_wait_for_the_map_and_are_refused_then(world):
    world.is_there = False
    world.push("chat")
    world.advance(WAIT_SECONDS - 0.1)
    assert (world.outcomes, world.engine.why_not_ready()) == ([], "engine_unavailable")
    world.advance(0.2)
    assert "nothing was pushed" in world.refused[0]


def test_requests_go_on_when_the_map_is_there(world):
    world.is_whole = False
    world.push("chat")
    world.advance(0.5)
    (health,) = world.engine.redis_health()
    assert (world.outcomes, health.is_up, health.reason) == ([], False, "10.0.0.1:6379: the cluster is down")
    world.is_whole = True
    world.advance(1)
    assert (world.outcomes, world.pushed) == ([100], ["chat"])
    assert world.engine.why_not_ready() is None


def test_pushes_to_a_slot_on_its_way_go_on_in_their_order(world):
    world.advance(0.5)
    world.refusal = TRYAGAIN
    names = [f"name{number}" for number in range(200)]
    for name in names:
        world.push(name)
    world.advance(FOLLOW_WITHIN / 2)
    assert world.outcomes == []
    world.refusal = None
    world.advance(0.2)
    assert world.pushed == names
    assert len(world.outcomes) == len(names)


def test_pushes_behind_those_that_were_refused_do_not_wait(world):
    world.advance(0.5)
    world.refusal = TRYAGAIN
    for number in range(2000):
        world.push(f"name{number}")
    world.advance(FOLLOW_WITHIN + 0.5)
    assert len(world.refused) == 2000
    assert all("nothing was pushed" in detail for detail in world.refused)
    world.refusal = None
    world.push("chat")
    world.advance(0.1)
    assert world.pushed == ["chat"]


def test_push_behind_a_redirected_one_does_not_overtake_it(world):
    world.advance(0.5)
    world.refusal = TRYAGAIN
    world.push("name0")
    world.advance(0.02)
    world.refusal = None
    for number in (1, 2, 3):
        world.push(f"name{number}")
    world.advance(0.3)
    assert world.pushed == ["name0", "name1", "name2", "name3"]
    assert len(world.outcomes) == 4


SITES = [Account(f"site{number}", ("secret",)) for number in range(400)]


@pytest.mark.parametrize("world", [lambda: World(*SITES)], indirect=True, ids=["400 accounts"])
@pytest.mark.parametrize("reply", [TRYAGAIN, "-MOVED 5 10.0.0.1:6379"])
def test_redirected_accounts_go_on_in_slices(world, reply):
    world.advance(0.5)
    world.refusal = reply
    for site in SITES:
        world.push("chat", site)
    world.advance(0.02)
    world.together, world.refusal = 0, None
    world.advance(0.2)
    assert len(world.pushed) == len(SITES)
    assert world.together <= 2 * STEP


class Unpublished(World):
    """A master that keeps a push, and loses its slot before it publishes it."""

    def __init__(self) -> None:
        super().__init__(wait=1)

    def run(self, command: list[bytes]) -> str:
        is_publishing = len(command) == 6 and command[3] == b"cometify:{site}"
        return "-MOVED 5 10.0.0.1:6379" if is_publishing else super().run(command)


@pytest.mark.parametrize("world", [Unpublished], indirect=True)
def test_kept_push_of_a_slot_that_goes_may_have_been_pushed(world):
    world.advance(0.5)
    world.push("chat")
    world.advance(0.5)
    assert world.pushed == ["chat"]
    assert "push it again with the same Idempotency-Key" in world.refused[0]
    assert world.engine.available


class Counted(World):
    """A master that counts the kept pushes of 20 accounts with 100 identifiers each. `looked`: those that it has looked at."""

    def __init__(self) -> None:
        self.looked = 0
        super().__init__(*SITES[:20])

    def run(self, command: list[bytes]) -> str:
        if len(command) != 8 or command[7] != command[3]:
            return super().run(command)
        count = min(100, int(command[5]))
        self.looked += count
        return f"*4\r\n$0\r\n\r\n$3\r\n{count:03}\r\n$3\r\n100\r\n$4\r\n1000"


@pytest.mark.parametrize("world", [Counted], indirect=True)
def test_counting_kept_pushes_is_bounded_in_each_beat(world):
    world.advance(0.5)
    world.looked = 0
    world.advance(3)
    assert 0 < world.looked <= 3 * SCRIPTS * MOST_NAMES
    world.advance(6)
    assert len(world.engine.stats().kept) == 20


class CountedInPart(Counted):
    """A master that has lost the slot of one account."""

    def refuses(self, command: list[bytes]) -> str:
        is_lost = command[0] in (b"EVAL", b"EVALSHA") and command[3] == b"cometify:{site3}"
        return "-CLUSTERDOWN Hash slot not served" if is_lost else ""


@pytest.mark.parametrize("world", [CountedInPart], indirect=True)
def test_kept_pushes_are_counted_without_a_slot_that_is_away(world):
    world.advance(15)
    assert set(world.engine.stats().kept) == {site.api_key for site in SITES[:20]} - {"site3"}


class Silent(World):
    """A master that does not answer its trial while `is_silent`."""

    is_silent = True

    def run(self, command: list[bytes]) -> str:
        return "" if self.is_silent and command[3].startswith(b"cometify:{.") else super().run(command)


@pytest.mark.parametrize("world", [Silent], indirect=True)
def test_request_waits_once_for_the_map_and_the_master(world):
    world.is_whole = False
    world.push("chat")
    world.advance(WAIT_SECONDS - 0.4)
    world.is_whole = True
    world.advance(0.3)
    assert (world.outcomes, len(world.engine.redis_health())) == ([], 1)
    world.push("news")
    world.advance(0.2)
    assert len(world.refused) == 1
    assert "nothing was pushed" in world.refused[0]
    world.advance(WAIT_SECONDS)
    assert len(world.refused) == 2
