"""Section 3: polls that a shared cache may answer, for an account with `edge`."""

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, SECOND, code_of, gaps, kinds, positions, texts
from tests.memory import World
from tests.wire import secure_key

STEP = 10 * SECOND
SHARED = "public, max-age=0, s-maxage={}, no-transform"
PRIVATE = "private, no-store, no-transform"
URL = f"/{API_KEY}/poll?identifiers=chat"


@pytest.fixture
def world(engine):
    return World(Account(API_KEY, (API_SECRET,), edge=True))


def cached_for(wire):
    """The answer to a poll, and the seconds for which a cache may give it to others; 0: not at all."""
    answer = wire.answer()
    control = answer.headers["cache-control"]
    assert control in (PRIVATE, SHARED.format(1), SHARED.format(2))
    assert ("x-accel-buffering" in answer.headers) is (control == PRIVATE)
    return answer, 0 if control == PRIVATE else int(control.partition("s-maxage=")[2].partition(",")[0])


def joined_at(world, query="identifiers=chat", host="10.0.0.1"):
    """Join as a listener of the edge does. Returns the position that it goes on from."""
    ready, heartbeat = world.poll(query, host).answer().frames
    assert ready["positions"] == [heartbeat["position"]]
    return heartbeat["position"]


def test_joining_answer_is_shared_for_a_second(world):
    answer, seconds = cached_for(world.request("GET", URL, Origin="https://example.org"))
    assert kinds(answer.frames) == ["ready", "heartbeat"]
    assert seconds == 1
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "vary" not in answer.headers


def test_waiting_poll_is_shared_with_its_push(world):
    wire = world.poll(f"identifiers=chat&position={joined_at(world)}")
    position = world.pushed("chat", "hello")
    answer, seconds = cached_for(wire)
    assert texts(answer.frames) == ["hello"]
    assert answer.frames[-1] == {"type": "heartbeat", "position": position}
    assert seconds == 2


def test_all_who_join_after_a_push_converge_on_it(world):
    world.advance(3 - world.reactor.seconds() % 10 + 10)
    position = world.pushed("chat", "hello")
    for number in range(4):
        world.advance(1)
        assert joined_at(world, host=f"10.0.0.{number}") == position


def test_joins_of_a_quiet_list_converge_on_a_step(world):
    world.pushed("chat", "long ago")
    world.advance(60)
    told = {joined_at(world, host=f"10.0.0.{number}") for number in range(3)}
    assert len(told) == 1
    assert told.pop() % STEP == 0


def test_listener_told_an_early_position_misses_nothing(world):
    world.pushed("chat", "before")
    world.advance(17)
    position = joined_at(world)
    world.pushed("chat", "while the answer is in a cache")
    answer, _seconds = cached_for(world.poll(f"identifiers=chat&position={position}"))
    assert texts(answer.frames) == ["while the answer is in a cache"]
    assert gaps(answer.frames) == []


def test_walk_from_an_old_answer_gets_each_push_once(world):
    stale = joined_at(world)
    sent = []
    for number in range(30):
        world.advance(1.7)
        world.pushed("chat", str(number))
        sent.append(str(number))
        if number % 7 == 3:
            joined_at(world)
    got, position = [], stale
    while len(got) < len(sent):
        answer, seconds = cached_for(world.poll(f"identifiers=chat&position={position}"))
        assert seconds == 2
        got += texts(answer.frames)
        assert answer.frames[-1]["position"] > position
        position = answer.frames[-1]["position"]
    assert got == sent


def test_polls_at_two_positions_converge_with_a_push(world):
    world.advance(5)
    early = world.poll(f"identifiers=chat&position={joined_at(world)}")
    world.advance(11)
    late = world.poll(f"identifiers=chat&position={joined_at(world)}", host="10.0.0.2")
    world.pushed("chat", "hello")
    assert early.answer().body == late.answer().body


@pytest.mark.parametrize("heartbeat", [1, 25])
def test_answer_without_a_push_moves_the_position(engine, heartbeat):
    world = World(Account(API_KEY, (API_SECRET,), edge=True), heartbeat=heartbeat)
    position = joined_at(world)
    for _ in range(4):
        wire = world.poll(f"identifiers=chat&position={position}")
        world.advance(heartbeat + 1)
        answer, seconds = cached_for(wire)
        assert seconds == 2
        assert answer.frames[0]["position"] > position
        position = answer.frames[0]["position"]
    assert heartbeat == 1 or position % STEP == 0


def test_draining_server_lets_an_audience_go_on_at_once(world):
    wire = world.poll(f"identifiers=chat&position={joined_at(world)}")
    world.advance(2)
    position = world.pushed("chat", "hello")
    wire = world.poll(f"identifiers=chat&position={position}")
    world.advance(2)
    world.drain()
    answer, seconds = cached_for(wire)
    assert kinds(answer.frames) == ["heartbeat"]
    assert answer.frames[0]["position"] > position
    assert seconds == 2


@pytest.mark.parametrize(
    "more",
    [
        "&listener=0123456789abcdef",
        "&secureKey=" + secure_key("chat"),
        "&secureKey=" + "0" * 32,
    ],
)
def test_answer_for_one_client_is_private(world, more):
    assert cached_for(world.request("GET", URL + more))[1] == 0
    wire = world.request("GET", f"{URL}&position={joined_at(world)}{more}", host="10.0.0.2")
    world.pushed("chat", "hello")
    assert cached_for(wire)[1] == 0


def test_token_is_private(world):
    answer, seconds = cached_for(world.request("GET", f"{URL}&token={world.token('chat')}"))
    assert (answer.frames[0]["secret"], seconds) == (["chat"], 0)


def test_posted_frame_is_private(world):
    assert cached_for(world.listen({"identifiers": ["chat"]}, path="poll"))[1] == 0


def test_secret_push_is_in_no_shared_answer(world):
    position = joined_at(world)
    public = world.poll(f"identifiers=chat&position={position}")
    keyed = world.poll(f"identifiers=chat&position={position}&secureKey={secure_key('chat')}", host="10.0.0.2")
    world.pushed("chat", "hidden", secret=1)
    assert not public.answered
    answer, seconds = cached_for(keyed)
    assert (texts(answer.frames), seconds) == (["hidden"], 0)
    assert joined_at(world, host="10.0.0.3") == position
    world.pushed("chat", "shown")
    answer, seconds = cached_for(public)
    assert (texts(answer.frames), seconds) == (["shown"], 2)


def test_private_identifier_is_in_no_shared_answer(engine):
    world = World(Account(API_KEY, (API_SECRET,), edge=True, private=("user_*",)))
    refused, seconds = cached_for(world.poll("identifiers=user_7"))
    assert (refused.status, seconds) == (403, 0)
    answer, seconds = cached_for(world.poll("identifiers=chat,user_7"))
    assert (len(answer.frames[0]["warnings"]), seconds) == (1, 0)
    assert cached_for(world.poll("identifiers=chat"))[1] == 1


@pytest.mark.parametrize("query", ["", "identifiers=no%20name", "identifiers=chat&position=x"])
def test_refusal_is_private(world, query):
    answer, seconds = cached_for(world.poll(query))
    assert (answer.status, seconds) == (400, 0)


def test_thirty_first_poll_of_an_address_is_refused_in_private(world):
    position = joined_at(world)
    waiting = [world.poll(f"identifiers=chat&position={position}") for _ in range(30)]
    answer, seconds = cached_for(world.poll(f"identifiers=chat&position={position}"))
    assert (code_of(answer), seconds) == ("too_many_listeners", 0)
    assert not any(wire.answered for wire in waiting)


def test_origins_make_every_answer_private(engine):
    world = World(Account(API_KEY, (API_SECRET,), edge=True, origins=("https://example.org",)))
    answer, seconds = cached_for(world.request("GET", URL, Origin="https://example.org"))
    assert (answer.headers["vary"], seconds) == ("Origin", 0)
    assert cached_for(world.request("GET", URL))[1] == 0


def test_poll_that_waited_while_its_list_became_private(world):
    wire = world.poll(f"identifiers=chat,news&position={joined_at(world)}")
    world.server.accounts.replace((Account(API_KEY, (API_SECRET,), edge=True, private=("news",)),))
    world.server.membership.accounts_changed(world.server.accounts)
    world.advance(1)
    answer, seconds = cached_for(wire)
    assert (len(answer.frames[0]["warnings"]), seconds) == (1, 0)


def test_edge_is_switched_while_the_server_runs(world):
    wire = world.poll(f"identifiers=chat&position={joined_at(world)}")
    world.server.accounts.replace((Account(API_KEY, (API_SECRET,)),))
    world.server.membership.accounts_changed(world.server.accounts)
    world.pushed("chat", "hello")
    assert cached_for(wire)[1] == 0
    plain = world.poll("identifiers=chat").answer()
    assert plain.headers["cache-control"] == "no-store, no-transform"
    world.server.accounts.replace((Account(API_KEY, (API_SECRET,), edge=True),))
    assert cached_for(world.poll("identifiers=chat"))[1] == 1


def test_internal_ids_are_shared_and_replayed(world):
    for number in (1, 2, 3):
        world.pushed("chat", str(number), push_id=number)
    answer, seconds = cached_for(world.poll("identifiers=chat:1"))
    assert (texts(answer.frames), seconds) == (["2", "3"], 1)
    wire = world.poll(f"identifiers=chat:1&position={answer.frames[-1]['position']}")
    world.pushed("chat", "4", push_id=4)
    answer, seconds = cached_for(wire)
    assert (texts(answer.frames), seconds) == (["4"], 2)


def test_old_position_is_told_a_gap(world):
    position = joined_at(world)
    world.pushed("chat", "lost")
    world.advance(700)
    answer, seconds = cached_for(world.poll(f"identifiers=chat&position={position}"))
    assert (gaps(answer.frames), seconds) == ([["chat"]], 2)
    wire = world.poll(f"identifiers=chat&position={answer.frames[-1]['position']}")
    assert not wire.answered


def test_account_without_edge_answers_as_ever(engine):
    plain, edge = [World(Account(API_KEY, (API_SECRET,), edge=one)) for one in (False, True)]
    for world in (plain, edge):
        world.advance(3.25)
    told = plain.poll("identifiers=chat").answer()
    assert told.headers["cache-control"] == "no-store, no-transform"
    assert told.headers["x-accel-buffering"] == "no"
    assert told.frames[0]["positions"][0] > edge.poll("identifiers=chat").answer().frames[0]["positions"][0]
    wire = plain.poll(f"identifiers=chat&position={told.frames[-1]['position']}")
    position = plain.pushed("chat", "hello")
    assert positions(wire.answer().frames) == [position]


class StaleCache:
    """A cache that keeps each answer that it may for as long as it likes, and gives it to whoever asks later."""

    def __init__(self, world, host):
        self.world = world
        self.host = host
        self.kept = {}

    def poll(self, query):
        """The frames of an answer, or None if the listener would wait."""
        if query not in self.kept:
            wire = self.world.poll(query, self.host)
            if not wire.answered:
                wire.lose()
                return None
            answer, seconds = cached_for(wire)
            assert seconds
            self.kept[query] = answer.frames
        return self.kept[query]


def test_stale_caches_lose_and_double_no_push(world):
    caches = [StaleCache(world, f"10.0.0.{number}") for number in range(2)]
    queries = ["identifiers=chat"] * 12
    heard = [[] for _ in queries]
    joined = [0] * len(queries)
    sent, at = [], []
    for turn in range(40):
        world.advance(0.9)
        sent.append(str(turn))
        at.append(world.pushed("chat", sent[-1]))
        world.pushed("chat", "hidden", secret=1)
        for number, query in enumerate(queries):
            # Each comes at times of its own, and through one cache or the other.
            if turn < number or (turn + number) % (number % 5 + 1):
                continue
            frames = caches[(turn * 7 + number) % 2].poll(query)
            if frames is None:
                continue
            heard[number] += texts(frames)
            queries[number] = f"identifiers=chat&position={frames[-1]['position']}"
            if "position" not in query:
                joined[number] = sum(position <= frames[-1]["position"] for position in at)
    for number, query in enumerate(queries):
        frames = StaleCache(world, "10.0.0.9").poll(query) or []
        assert heard[number] + texts(frames) == sent[joined[number] :]
