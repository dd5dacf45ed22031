"""Requests that come before Redis has answered for the first time: they wait for it, up to three seconds."""

import json
from collections.abc import Callable
from itertools import count

import pytest
from twisted.internet.task import Clock

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.engine.redis.first_contact import MOST_WAITING, SLICE, WAIT_SECONDS, FirstContact
from tests.contract.support import code_of, kinds, positions, texts
from tests.memory import Wire, World
from tests.redis import RedisServer
from tests.wire import API_KEY, form, request_bytes, seal, secure

SLOTS = f"cometify:{{{API_KEY}}}:l:10.0.0.1"
nonces = (f"first-contact-{number:06}" for number in count())


@pytest.fixture
def first(own_redis: RedisServer) -> World:
    """A node that has reached Redis before Redis went down."""
    world = World()
    own_redis.stop()
    world.settle()
    return world


@pytest.fixture
def late(first: World) -> World:
    """A node that has just started. Its Redis is down."""
    return World(beside=first)


def until_ready(*worlds: World) -> None:
    """Let less time pass than a request waits."""
    for _ in range(25):
        for world in worlds:
            world.reactor.advance(0.1)
            world.settle()
        if all(world.server.engine.available for world in worlds):
            return
    raise AssertionError("Redis was not reached")


def push(world: World, text: str) -> Wire:
    """Send a push. The answer can come later."""
    body = form({"text": text, "secret": "0", "secure": secure("chat", text)})
    return world.request("POST", f"/{API_KEY}/push/chat", body, Content_Type="application/x-www-form-urlencoded")


def is_ready(world: World) -> bool:
    return world.admin("GET", "/health/ready").status == 200


def test_pushes_and_joins_wait_for_the_first_answer_in_order(late, own_redis):
    listener = late.stream("identifiers=chat:0")
    pushes = [push(late, text) for text in ("one", "two", "three")]
    path = f"/{API_KEY}/push"
    body = json.dumps([{"identifier": "chat", "text": text, "secret": 0} for text in ("four", "five")]).encode()
    batch = late.connect()
    batch.receive(request_bytes("POST", path, body, seal(path, body, late.wall(), next(nonces))))
    late.advance(0.3, step=0.1)
    assert not any(wire.answered for wire in (listener, batch, *pushes))
    assert not is_ready(late)
    own_redis.start()
    until_ready(late)
    late.settle()
    assert is_ready(late)
    pushed = [wire.answer().json["position"] for wire in pushes]
    pushed += [answer["position"] for answer in batch.answer().json]
    assert pushed == sorted(set(pushed))
    frames = listener.frames()
    assert texts(frames) == ["one", "two", "three", "four", "five"]
    assert positions(frames) == pushed


def test_requests_are_refused_after_three_seconds(late):
    listeners = [late.stream("identifiers=chat"), late.poll("identifiers=chat"), late.websocket("identifiers=chat")]
    publisher = push(late, "x")
    late.advance(WAIT_SECONDS - 0.1, step=0.1)
    assert not any(wire.answered for wire in (publisher, *listeners[:2]))
    late.advance(0.2, step=0.1)
    answer = publisher.answer()
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")
    assert "nothing was pushed" in answer.json["detail"]
    assert int(answer.headers["retry-after"]) >= 1
    assert [code_of(wire.answer()) for wire in listeners[:2]] == ["engine_unavailable"] * 2
    assert [frame.get("code") for frame in listeners[2].frames()] == ["engine_unavailable", 4100]


def test_requests_are_refused_when_the_node_stops(late):
    publisher, listener = push(late, "x"), late.poll("identifiers=chat")
    late.server.engine.stop()
    late.settle()
    assert [code_of(wire.answer()) for wire in (publisher, listener)] == ["engine_unavailable"] * 2
    assert code_of(push(late, "y").answer()) == "engine_unavailable"


def test_nobody_waits_once_redis_was_there(first):
    answer = push(first, "x").answer()
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")
    assert "nothing was pushed" in answer.json["detail"]
    assert code_of(first.poll("identifiers=chat").answer()) == "engine_unavailable"


def test_slots_of_listeners_that_waited_count_on_all_nodes(first, late, own_redis):
    wires = [late.stream(f"identifiers=chat&listener=listener-{number}") for number in range(30)]
    for wire in wires[:5]:
        wire.lose()  # before Redis is there
    own_redis.start()
    until_ready(first, late)
    for world in (first, late, first):
        world.settle()
    assert own_redis.command("HLEN", SLOTS) == 25
    assert [kinds(wire.frames()) for wire in wires[5:]] == [["ready", "heartbeat"]] * 25
    for _ in range(5):
        assert kinds(first.stream("identifiers=chat").frames()) == ["ready", "heartbeat"]
    assert code_of(first.poll("identifiers=chat").answer()) == "too_many_listeners"


# The queue alone.


def refusal() -> Refused:
    return Refused(errors.ENGINE_UNAVAILABLE, "not there")


class Requests:
    """Requests that wait in a queue, and what came of them, in order."""

    def __init__(self, until: Callable[[], float] | None = None) -> None:
        self.clock = Clock()
        self.outcomes: list[tuple[str, int]] = []
        self.is_over = False
        self.queue = FirstContact(self.clock, self._over, until)

    def _over(self) -> None:
        self.is_over = True

    def turn(self) -> None:
        """One turn of a reactor. `Clock.advance` also makes the calls that are added meanwhile."""
        (call,) = self.clock.calls
        self.clock.calls.remove(call)
        assert call.getTime() <= self.clock.seconds()
        call.called = True
        call.func(*call.args, **call.kw)

    def add(self, number: int, then: Callable[[], None] = lambda: None) -> None:
        def done(_none: None) -> None:
            self.outcomes.append(("done", number))
            then()

        self.queue.wait(refusal).addCallbacks(done, lambda failure: self.refused(failure, number))

    def refused(self, failure, number: int) -> None:
        failure.trap(Refused)
        self.outcomes.append(("refused", number))


def test_queue_is_let_through_in_slices_and_in_order():
    requests = Requests()
    for number in range(2 * SLICE + 1):
        requests.add(number)
    requests.queue.redis_is_there()
    assert len(requests.outcomes) == SLICE
    requests.add(2 * SLICE + 1)  # comes meanwhile, and goes behind the others
    for _ in range(2):
        assert not requests.is_over
        requests.turn()
    assert requests.outcomes == [("done", number) for number in range(2 * SLICE + 2)]
    assert requests.is_over
    assert requests.clock.getDelayedCalls() == []


def test_request_made_by_a_request_that_goes_on_is_let_through():
    requests = Requests()
    requests.add(1, lambda: requests.add(2))
    requests.queue.redis_is_there()
    assert requests.outcomes == [("done", 1), ("done", 2)]
    assert requests.is_over


def test_each_request_waits_its_own_three_seconds():
    requests = Requests()
    requests.add(1)
    requests.clock.advance(1)
    requests.add(2)
    requests.clock.advance(2)
    assert requests.outcomes == [("refused", 1)]
    requests.clock.advance(0.9)
    assert len(requests.outcomes) == 1
    requests.clock.advance(0.1)
    assert requests.outcomes == [("refused", 1), ("refused", 2)]
    requests.add(3)
    requests.queue.redis_is_there()
    assert requests.outcomes[2:] == [("done", 3)]


def test_queue_is_bounded():
    requests = Requests()
    for number in range(MOST_WAITING + 1):
        requests.add(number)
    assert requests.outcomes == [("refused", MOST_WAITING)]
    requests.clock.rightNow += WAIT_SECONDS
    for _ in range(MOST_WAITING // SLICE):
        before = len(requests.outcomes)
        requests.turn()
        assert len(requests.outcomes) == before + SLICE  # refusing takes time too
    assert len(requests.outcomes) == MOST_WAITING + 1


def test_queue_closed_during_release_refuses_the_rest():
    requests = Requests()
    requests.add(0, requests.queue.close)
    requests.add(1)
    requests.queue.redis_is_there()
    assert sorted(requests.outcomes) == [("done", 0), ("refused", 1)]
    requests.add(2)
    assert requests.outcomes[-1] == ("refused", 2)
    assert not requests.is_over


def test_request_that_has_waited_elsewhere_goes_first():
    untils = iter([3.0, 1.0, 2.0])
    requests = Requests(lambda: next(untils))
    for number in (3, 1, 2):
        requests.add(number)
    for seconds in (1, 2, 3):
        requests.clock.advance(1)
        assert requests.outcomes == [("refused", number) for number in range(1, seconds + 1)]
    assert requests.clock.getDelayedCalls() == []
