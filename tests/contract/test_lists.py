"""Section 8: a back end asks which identifiers are in use, and what is kept of one."""

import itertools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cometify.core.account import Account
from cometify.runtime.epoll_loop import LoopHooks
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    SECOND,
    TRANSPORTS,
    by_frame,
    by_query,
    code_of,
    texts,
)  # fmt: skip
from tests.delivery.loop import Loop
from tests.memory import World
from tests.wire import request_bytes, seal, secure_key

NONCES = itertools.count()
BEARER = {"Authorization": f"Bearer {API_SECRET}"}
MINUTE = 60 * SECOND


def send(world, path, headers=None, key=API_KEY):
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("GET", f"/{key}/identifiers{path}", None, BEARER if headers is None else headers))
    return wire.answer()


def ask(world, path="", **more):
    answer = send(world, path, **more)
    assert answer.status == 200, answer
    return answer.json


def rows(world, query=""):
    """The identifiers of one page, each with its listeners and the number of its pushes."""
    return {row["identifier"]: (row["listeners"], row["kept"]) for row in ask(world, query)["identifiers"]}


def pushes(world, identifier, query=""):
    return ask(world, f"/{identifier}/pushes{query}")


def push_json(world, identifier, **fields):
    wire = world.connect("127.0.0.1")
    body = json.dumps({"secret": 0, **fields}).encode()
    headers = {**BEARER, "Content-Type": "application/json"}
    wire.receive(request_bytes("POST", f"/{API_KEY}/push/{identifier}", body, headers))
    answer = wire.answer()
    assert answer.status == 200, answer
    return answer.json["position"]


# Identifiers.


def test_identifiers_in_use_are_listed_by_name(world):
    world.pushed("News", "a")
    position = world.pushed("chat", "b", push_id=7)
    size = len(f'{{"type":"push","identifier":"chat","push_id":7,"text":"b","position":{position}}}')
    by_query(world, "websocket", "identifiers=orders,chat")
    listed = ask(world)
    assert [row["identifier"] for row in listed["identifiers"]] == ["chat", "news", "orders"]
    assert listed["identifiers"][0] == {
        "identifier": "chat", "listeners": 1, "kept": 1, "bytes": size, "position": position,
    }  # fmt: skip
    assert listed["identifiers"][2] == {
        "identifier": "orders", "listeners": 1, "kept": 0, "bytes": 0, "position": None,
    }  # fmt: skip
    assert listed["next"] is None


def test_identifier_nobody_uses_any_longer_is_not_listed(world):
    world.pushed("chat", "x")
    wire = by_query(world, "websocket", "identifiers=orders")
    wire.frames()
    wire.lose()
    assert "orders" not in rows(world)
    world.advance(740)
    assert rows(world) == {}
    assert ask(world, "/chat")["kept"] == 0


def test_pushes_of_both_kinds_are_counted(world):
    world.pushed("chat", "x")
    last = world.pushed("chat", "hush", secret=1)
    (row,) = ask(world)["identifiers"][:1]
    assert (row["kept"], row["position"]) == (2, last)
    last = world.pushed("chat", "y")
    (row,) = ask(world)["identifiers"][:1]
    assert (row["kept"], row["position"]) == (3, last)


def test_prefix_is_compared_without_case(world):
    for name in ("User_1", "user_2", "users", "a"):
        world.pushed(name, "x")
    assert list(rows(world, "?prefix=USER_")) == ["user_1", "user_2"]
    assert list(rows(world, "?prefix=user_2")) == ["user_2"]
    assert list(rows(world, "?prefix=b")) == []
    assert list(rows(world, "?prefix=user_&after=User_1")) == ["user_2"]
    assert list(rows(world, "?prefix=user_&after=a")) == ["user_1", "user_2"]
    assert list(rows(world, "?prefix=a&after=user_1")) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_of_identifiers_have_each_one_once(world, limit):
    names = [f"n{number}" for number in range(7)]
    for number, name in enumerate(names):
        if number % 2:
            world.pushed(name, "x")
        if number % 3 == 0:
            by_query(world, "stream", f"identifiers={name}", host=f"10.0.0.{number}")
    expected = [name for number, name in enumerate(names) if number % 2 or number % 3 == 0]
    found, after = [], ""
    while after is not None:
        page = ask(world, f"?prefix=n&limit={limit}&after={after}")
        assert len(page["identifiers"]) <= limit
        found += [row["identifier"] for row in page["identifiers"]]
        after = page["next"]
        world.pushed("n0a", "comes meanwhile")
    assert [name for name in found if name != "n0a"] == expected


def test_one_identifier_tells_its_listeners_by_transport(world):
    for number, transport in enumerate(TRANSPORTS):
        by_query(world, transport, f"identifiers=chat&position={world.clock()}", host=f"10.0.0.{number}")
    key = secure_key("chat", "orders")
    by_query(world, "websocket", f"identifiers=chat,orders&secureKey={key}", host="10.0.0.9")
    by_query(world, "websocket", "identifiers=orders", host="10.0.0.9")
    details = ask(world, "/CHAT")
    assert details["identifier"] == "chat"
    assert details["listeners"] == 5
    assert details["transports"] == {"websocket": 2, "stream": 1, "events": 1, "poll": 1}
    assert details["secret_listeners"] == 1
    assert (ask(world, "/orders")["listeners"], ask(world, "/orders")["secret_listeners"]) == (2, 1)


def test_listener_in_several_groups_counts_once(world):
    by_frame(world, "websocket", {"identifiers": ["chat"]}, {"identifiers": {"chat": 7}})
    assert ask(world, "/chat")["listeners"] == 1


def test_identifier_that_was_never_used_is_told_with_zeros(world):
    assert ask(world, "/nobody") == {
        "identifier": "nobody", "listeners": 0, "kept": 0, "bytes": 0, "position": None,
        "transports": {"websocket": 0, "stream": 0, "events": 0, "poll": 0}, "secret_listeners": 0,
    }  # fmt: skip
    assert pushes(world, "nobody") == {"pushes": [], "gap": False, "next": None}


def test_accounts_see_nothing_of_each_other():
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,), identifiers="extended"))
    world.pushed("chat", "x")
    by_query(world, "websocket", "identifiers=a.b-c", key="other")
    assert "a.b-c" not in rows(world)
    listed = ask(world, "?prefix=A.", key="other")
    assert [row["identifier"] for row in listed["identifiers"]] == ["a.b-c"]
    assert ask(world, "/A.b-C", key="other")["listeners"] == 1
    assert code_of(send(world, "/a.b-c")) == "invalid_identifier"
    assert ask(world, "/chat/pushes", key="other")["pushes"] == []


# Pushes.


def test_kept_pushes_are_listed_as_their_frames(world):
    first = world.pushed("Chat", "Grüße", push_id=2**53)
    second = push_json(world, "chat", data={"a": [1.50, None]}, event="created", secret=1)
    third = push_json(world, "chat", text="", **{"except": "listener-1"})
    answer = send(world, "/chat/pushes")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "pushes": [
            {
                "type": "push", "identifier": "chat", "push_id": str(2**53), "text": "Grüße", "position": first, "secret": 0,
            },
            {
                "type": "push", "identifier": "chat", "push_id": None, "event": "created", "data": {"a": [1.5, None]},
                "position": second, "secret": 1,
            },
            {"type": "push", "identifier": "chat", "push_id": None, "text": "", "position": third, "secret": 0},
        ],
        "gap": False,
        "next": None,
    }  # fmt: skip
    assert b'"data":{"a":[1.5,null]},"position"' in answer.body.replace(b" ", b"")


def test_pushes_are_listed_from_a_position_on(world):
    found = [world.pushed("chat", str(number)) for number in range(5)]
    page = pushes(world, "chat", f"?after={found[1]}&limit=2")
    assert (texts(page["pushes"]), page["gap"], page["next"]) == (["2", "3"], False, found[3])
    page = pushes(world, "chat", f"?after={found[3]}&limit=2")
    assert (texts(page["pushes"]), page["gap"], page["next"]) == (["4"], False, None)
    assert pushes(world, "chat", f"?after={found[4]}")["pushes"] == []


def test_pages_of_pushes_hold_while_pushes_come(world):
    for number in range(4):
        world.pushed("chat", str(number), secret=number % 2)
    found, after = [], ""
    while after is not None:
        page = pushes(world, "chat", f"?limit=3&after={after}")
        found += texts(page["pushes"])
        after = page["next"]
        if len(found) < 10:
            for number in range(3):
                world.pushed("chat", f"{len(found)} later {number}", secret=number % 2)
            world.pushed("news", "x")
    assert found[:4] == ["0", "1", "2", "3"]
    assert len(found) == len(set(found)) > 10


def test_page_of_long_pushes_has_a_mebibyte_at_most(world):
    text = "x" * 60_000
    found = [world.pushed("chat", text, secret=number % 2) for number in range(40)]
    answer = send(world, "/chat/pushes?limit=1000")
    assert len(answer.body) < 2**20 + 100
    page = answer.json
    assert len(page["pushes"]) == 17
    assert page["next"] == found[16]
    rest = [frame["position"] for frame in pushes(world, "chat", f"?after={found[16]}&limit=20")["pushes"]]
    assert rest == found[17:34]


def test_default_and_highest_limit_of_a_page(world):
    for number in range(110):
        world.pushed("chat", str(number))
    assert len(pushes(world, "chat")["pushes"]) == 100
    assert len(pushes(world, "chat", "?limit=1000")["pushes"]) == 110


# Gaps.


def test_gap_is_told_when_the_buffer_has_overrun():
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=3))
    found = [world.pushed("chat", str(number)) for number in range(5)]
    for query, gap in (("", True), (f"?after={found[0]}", True), (f"?after={found[1]}", False)):
        page = pushes(world, "chat", query)
        assert (texts(page["pushes"]), page["gap"]) == (["2", "3", "4"], gap)
    assert pushes(world, "news")["gap"] is False


def test_gap_is_told_when_secret_pushes_were_dropped():
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=1))
    at = world.pushed("chat", "0")
    for number in range(2):
        world.pushed("chat", str(number), secret=1)
    assert pushes(world, "chat", f"?after={at}")["gap"] is True


def test_push_that_was_too_large_to_keep_is_a_gap():
    world = World(Account(API_KEY, (API_SECRET,), buffer_bytes=1000))
    at = world.pushed("chat", "x")
    world.pushed("chat", "x" * 2000)
    page = pushes(world, "chat", f"?after={at}")
    assert (page["pushes"], page["gap"]) == ([], True)
    assert rows(world).get("chat", (0, 0)) == (0, 0)


def test_ten_minutes_are_listed_and_older_pushes_are_a_gap(world):
    old = world.pushed("chat", "old")
    world.advance(601)
    world.pushed("chat", "new")
    page = pushes(world, "chat")
    assert (texts(page["pushes"]), page["gap"]) == (["new"], False)
    page = pushes(world, "chat", f"?after={old - 1}")
    assert page["gap"] is True or texts(page["pushes"]) == ["old", "new"]
    assert pushes(world, "chat", f"?after={old}")["gap"] is False


def test_position_older_than_a_day_is_a_gap(world):
    old = world.pushed("chat", "old")
    world._pass(25 * 3600.0)
    world.advance(10)
    assert pushes(world, "chat", f"?after={old}")["gap"] is True
    assert pushes(world, "chat")["gap"] is False


def test_position_of_a_memory_that_is_gone_is_a_gap(world):
    assert pushes(world, "chat", f"?after={world.clock() + MINUTE}")["gap"] is True
    assert pushes(world, "chat", f"?after={2**63 - 1}")["gap"] is True


@pytest.mark.memory("with Redis the memory of the account began before")
def test_server_that_has_just_started_tells_a_gap():
    world = World(began=60.0)
    at = world.clock()
    assert pushes(world, "chat")["gap"] is True
    assert pushes(world, "chat", f"?after={at}")["gap"] is False
    world.advance(541)
    assert pushes(world, "chat")["gap"] is False


# The list is exact.


class Model:
    """A plain list of all pushes of an account that keeps `most` of each kind for an identifier."""

    def __init__(self, most):
        self.most = most
        self.pushes = []
        self.dropped = {}

    def push(self, identifier, text, secret, push_id, position):
        self.pushes.append((identifier, text, secret, push_id, position))
        kind = [push for push in self.pushes if (push[0], push[2]) == (identifier, secret)]
        for push in kind[: -self.most]:
            self.pushes.remove(push)
            self.dropped[identifier] = max(self.dropped.get(identifier, 0), push[4])

    def page(self, identifier, after, limit):
        found = [push for push in self.pushes if push[0] == identifier and push[4] > after]
        following = found[limit - 1][4] if len(found) > limit else None
        return found[:limit], after < self.dropped.get(identifier, 0), following


def play(world, model, steps):
    """Push and ask by turns. Each answer must be the model's."""
    began = world.clock() - 1
    positions = [began]
    for step, identifier, number, limit in steps:
        if step == "ask":
            after = positions[number % len(positions)]
            page = pushes(world, identifier, f"?after={after}&limit={limit}")
            found, gap, following = model.page(identifier, after, limit)
            told = [
                (one["identifier"], one["text"], one["secret"], one["push_id"], one["position"])
                for one in page["pushes"]
            ]
            assert (told, page["gap"], page["next"]) == (found, gap, following)
        else:
            secret, push_id = number % 2, number if number % 3 else None
            position = world.pushed(identifier, str(number), secret, push_id)
            model.push(identifier, str(number), secret, push_id, position)
            positions.append(position)


names = st.sampled_from(["chat", "news"])
step = st.tuples(st.sampled_from(["push", "push", "ask"]), names, st.integers(0, 99), st.integers(1, 4))


@settings(max_examples=40)
@given(st.lists(step, max_size=30), st.integers(1, 4))
def test_list_of_pushes_equals_a_model(steps, most):
    play(World(Account(API_KEY, (API_SECRET,), buffer_pushes=most)), Model(most), steps)


@pytest.mark.parametrize("seed", range(4))
def test_list_of_pushes_equals_a_model_in_every_engine(seed):
    chance = random.Random(seed)
    most = chance.randint(1, 20)
    steps = [
        (chance.choice(["push", "push", "ask"]), chance.choice(["chat", "news"]), chance.randrange(1000), limit)
        for limit in chance.choices(range(1, 12), k=120)
    ]
    play(World(Account(API_KEY, (API_SECRET,), buffer_pushes=most)), Model(most), steps)


# Who may ask.

PATHS = ["", "/chat", "/chat/pushes"]


def signed(world, path, **more):
    return seal(f"/{API_KEY}/identifiers{path}", b"", world.wall(), f"lists-{next(NONCES):016}", method="GET", **more)


@pytest.mark.parametrize("path", PATHS)
def test_only_a_back_end_that_proves_itself_may_ask(path, world):
    world.pushed("chat", "hush", secret=1)
    unsigned = send(world, path, {})
    assert (unsigned.status, code_of(unsigned)) == (400, "missing_parameter")
    for headers in (signed(world, path, secret="wrong"), {"Authorization": "Bearer wrong"}):
        assert code_of(send(world, path, headers)) == "not_authorized"
    assert code_of(send(world, path, key="unknown")) == "not_authorized"
    assert send(world, path, signed(world, path)).status == 200
    assert "access-control-allow-origin" not in send(world, path).headers
    assert send(world, path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
def test_secret_in_clear_text_is_not_taken(path, world):
    wire = world.request("GET", f"/{API_KEY}/identifiers{path}", host="10.0.0.1", **BEARER)
    assert code_of(wire.answer()) == "not_authorized"


@pytest.mark.parametrize("path", PATHS)
def test_signed_question_is_answered_once(path, world):
    headers = signed(world, path)
    assert code_of(send(world, path + "?nonsense=1", headers)) == "unknown_parameter"
    assert send(world, path, headers).status == 200
    assert code_of(send(world, path, headers)) == "nonce_reused"


def test_nonces_of_questions_are_bounded():
    world = World(Account(API_KEY, (API_SECRET,), request_memory=2))
    answers = [send(world, "", signed(world, "")) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert "retry-after" in answers[2].headers
    assert send(world, "").status == 200


@pytest.mark.parametrize("path", PATHS)
def test_lists_take_only_get(path, world):
    for method in ("POST", "OPTIONS", "HEAD", "DELETE"):
        assert world.request(method, f"/{API_KEY}/identifiers{path}", b"").head[0] == 405


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("?position=7", 400, "unknown_parameter"),
        ("?limit=0", 400, "invalid_parameter"),
        ("?limit=5&limit=5", 400, "repeated_parameter"),
        ("?prefix=%ff", 400, "invalid_parameter"),
        ("/chat?limit=5", 400, "unknown_parameter"),
        ("/9", 400, "invalid_identifier"),
        ("/9/pushes", 400, "invalid_identifier"),
        ("/chat/pushes?after=x", 400, "invalid_parameter"),
        ("/chat/other", 404, "not_found"),
        ("/chat/pushes/more", 404, "not_found"),
    ],
)
def test_wrong_question_is_told_how_to_ask(world, path, status, code):
    answer = send(world, path)
    assert (answer.status, code_of(answer)) == (status, code)


def test_draining_server_still_answers(world):
    world.pushed("chat", "x")
    world.drain()
    assert texts(pushes(world, "chat")["pushes"]) == ["x"]


@pytest.mark.memory("Redis answers in its own time")
def test_questions_of_one_moment_are_answered_one_each_turn():
    loop = Loop()
    world = World(loop_hooks=LoopHooks(loop.later))
    world.pushed("chat", "x")
    wires = [world.connect("127.0.0.1") for _ in range(10)]
    for number, wire in enumerate(wires):
        path = ["", "/chat", "/chat/pushes"][number % 3]
        wire.transport.protocol.dataReceived(
            request_bytes("GET", f"/{API_KEY}/identifiers{path}", None, {**BEARER, "Accept": "application/json"})
        )
    answered = [sum(wire.answered for wire in wires)]
    while loop.due:
        loop.turn()
        answered.append(sum(wire.answered for wire in wires))
    assert answered[-1] == 10
    assert max(after - before for before, after in itertools.pairwise(answered)) == 1


def test_openapi_describes_the_answers(world):
    world.pushed("chat", "x")
    document = world.request("GET", "/openapi.json").answer().json
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    schemas = document["components"]["schemas"]
    page, details, kept = ask(world), ask(world, "/chat"), pushes(world, "chat")
    assert set(page) == set(schemas["IdentifierPage"]["properties"])
    assert set(page["identifiers"][0]) == set(schemas["IdentifierRow"]["properties"])
    assert set(details) - set(page["identifiers"][0]) == set(schemas["IdentifierDetails"]["allOf"][1]["properties"])
    assert set(kept) == set(schemas["PushPage"]["properties"])
    assert set(kept["pushes"][0]) >= set(schemas["KeptPush"]["required"])
    assert set(kept["pushes"][0]) <= set(schemas["KeptPush"]["properties"])
