"""The fast path and twisted.web give the same answers to the same requests, however these are cut."""

import json
from ipaddress import ip_network
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.core.account import Account
from cometify.http.fast_channel import MOST_EARLY
from tests.calls import counted_c_calls
from tests.memory import Wire, World
from tests.wire import API_KEY, API_SECRET, FORM, client_frame, form, request_bytes, secure, secure_key

ODD = {"X-Odd": "1", "x-odd": "2"}
"""A header that occurs twice. Nobody reads it, but it makes a request not plain."""
PUSH = request_bytes(
    "POST",
    f"/{API_KEY}/push/chat",
    form({"text": "Hello world!", "secret": "0", "secure": secure("chat", "Hello world!")}),
    FORM,
)


class Counted(World):
    """Counts the requests that twisted.web reads in `ordinary`."""

    def __init__(self, *accounts: Account, **settings: Any) -> None:
        super().__init__(*accounts, **settings)
        self.ordinary = 0
        make = self.server.http.requestFactory

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.ordinary += 1
            return make(*args, **kwargs)

        self.server.http.requestFactory = counted


def told(wire: Wire) -> tuple[int, dict[str, str], bytes] | None:
    """The answer without its Date, or None if there was none."""
    if not wire.answered:
        return None
    status, headers = wire.head
    return status, {name: value for name, value in headers.items() if name != "date"}, wire.body()


texts = st.sampled_from(["", "Hello world!", "ä+b c&d=e%", "a" * 3000, "\N{SNOWMAN}\r\n"])


@st.composite
def pushes(draw: Any) -> tuple[str, str, bytes, dict[str, str]]:
    """Pushes, right and wrong ones."""
    spelled = draw(
        st.sampled_from(
            ["chat", "Chat", "metrics", "x" * 60, "x" * 61, "1chat", "order.42", "a-b", ".", "..", "x." * 50, "x." * 51]
        )
    )
    text = draw(texts)
    fields: dict[str, str | bytes] = {"text": text, "secret": "0", "secure": secure(spelled, text)}
    wrong: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "identifier": st.sampled_from(["chat", "CHAT", "other", ""]),
                "secret": st.sampled_from(["0", "1", "2", ""]),
                "push_id": st.sampled_from(["0", "7", str(2**63 - 1), str(2**63), "-1", "x"]),
                "secure": st.sampled_from(["0" * 32, "", "ä"]),
                "text": st.just(b"\xff"),
            },
        )
    )
    fields.update(wrong)
    if draw(st.booleans()):
        fields.pop(draw(st.sampled_from(["text", "secret", "secure"])), None)
    key = draw(st.sampled_from([API_KEY, API_KEY, "unknown"]))
    kind = draw(st.sampled_from([*[FORM["Content-Type"]] * 3, "application/json", "text/plain", ""]))
    body = form(fields) + draw(st.sampled_from([b"", b"&", b"&text=again", b"&other=1"]))
    if kind == "application/json":
        body = json.dumps({name: str(value) for name, value in fields.items()}).encode()
    return "POST", f"/{key}/push/{spelled}", body, {"Content-Type": kind} if kind else {}


@st.composite
def listens(draw: Any) -> tuple[str, str, bytes | None, dict[str, str]]:
    """Requests to listen, by query or by frame, on every transport."""
    path = f"/{draw(st.sampled_from([API_KEY, API_KEY, 'unknown', 'latest']))}/" + draw(
        st.sampled_from(["poll", "poll", "stream", "events", "nothing", "no.thing", ".."])
    )
    headers = draw(
        st.sampled_from([{}, {"Origin": "https://a.example"}, {"Last-Event-ID": "5"}, {"X-Forwarded-For": "9.9.9.9"}])
    )
    names = draw(
        st.sampled_from(
            ["chat", "chat,metrics", "chat:0", "chat:7,metrics:0", "chat,metrics:0", "1", "", "a-b,c.d", "a.b:7"]
        )
    )
    position = draw(st.sampled_from([None, "0", "9" * 15, "x"]))
    if draw(st.booleans()):
        query = f"identifiers={names}" + (f"&position={position}" if position else "")
        query += draw(
            st.sampled_from(
                ["", "&listener=0123456789", "&listener=x", "&secureKey=", "&token=x", "&%ff=1", "&" * 70, ";a" * 70]
            )
        )
        return "GET", f"{path}?{query}", None, headers
    group: dict[str, Any] = {"identifiers": names.split(","), "secureKey": secure_key(*names.split(","))}
    if position:
        group["position"] = position
    body = draw(st.sampled_from([json.dumps({"type": "listen", "groups": [group]}).encode(), b"", b"{", b"[]"]))
    return "POST", path, body, headers


@given(st.lists(pushes() | listens(), min_size=1, max_size=4), st.booleans(), st.sampled_from(["plain", "extended"]))
@settings(max_examples=60)
def test_both_ways_give_the_same_answers(requests, restricted, identifiers):
    origins = ("https://a.example",) if restricted else None
    account = Account(API_KEY, (API_SECRET,), origins=origins, identifiers=identifiers)
    worlds = [Counted(account) for _ in range(2)]
    hears = [world.stream("identifiers=chat,metrics") for world in worlds]
    before = [world.ordinary for world in worlds]
    for method, target, body, headers in requests:
        wires = []
        for world, more in zip(worlds, ({}, ODD), strict=True):
            wire = world.connect()
            wire.receive(request_bytes(method, target, body, {**headers, **more}))
            wires.append(wire)
        assert told(wires[0]) == told(wires[1])
    assert hears[0].body() == hears[1].body()
    assert worlds[1].ordinary - before[1] == len(requests)


@pytest.mark.parametrize("more", [{}, ODD])
@pytest.mark.parametrize("parameter", ["&a=1", ";a=1", "&", "&a=%41"])
def test_query_has_64_parameters_and_no_more(parameter, more):
    world = World()
    for count, status in ((63, 200), (64, 400), (2_000, 400)):
        wire = world.connect()
        with counted_c_calls() as calls:
            wire.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat{parameter * count}", None, more))
        assert wire.head[0] == status
        assert calls["split"] + calls["partition"] < 500
        if status == 400:
            assert "more than 64 parameters" in json.loads(wire.body())["detail"]


@pytest.mark.parametrize("more", [{}, ODD])
def test_query_that_nobody_reads_may_be_anything(more):
    wire = World().connect()
    wire.receive(request_bytes("GET", f"/{API_KEY}/position?{'&' * 3_000}", None, more))
    assert wire.answer().status == 200


def test_plain_requests_do_not_reach_twisted_web():
    world = Counted(Account(API_KEY, (API_SECRET,), identifiers="extended"))
    listener = "listener=0123456789"
    assert world.push("chat", "one").status == 200
    for name in ("order.42", "private-chat", "x" * 100):
        assert world.push(name, "one").status == 200
    world.stream("identifiers=chat")
    world.request("GET", f"/{API_KEY}/events?identifiers=chat", Accept="text/event-stream", Connection="keep-alive")
    world.websocket("identifiers=chat")
    assert world.poll(f"identifiers=chat&{listener}").answer().status == 200
    assert world.request("POST", f"/{API_KEY}/poll", b"{").answer().status == 400
    assert world.ordinary == 0


@pytest.mark.parametrize(
    "odd",
    [
        PUSH.replace(b"Host: localhost", b"Host: localhost\r\nX-Folded: a\r\n b"),
        PUSH.replace(b"Host: localhost", b"Host: localhost\r\nX-Twice: a\r\nX-Twice: a"),
        PUSH.replace(b"Host: localhost", b"Host: localhost\r\nX-Far: \xe4"),
        PUSH.replace(b"Host: localhost", b"Host: localhost\r\nTE: trailers"),
        PUSH.replace(b"Host: localhost", b"Host: localhost\r\nX-Long: " + b"x" * 5000),
        PUSH.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PUSH.replace(b"POST /", b"POST http://localhost/"),
        PUSH.replace(b"/push/chat", b"/push/cha%74"),
        PUSH.replace(b"Content-Length: ", b"Content-Length: 0000000"),
        b"\r\n" + PUSH,
    ],
    ids=["folded", "twice", "latin", "te", "long", "old", "absolute", "percent", "digits", "empty line"],
)
def test_odd_requests_are_left_to_twisted_web(odd):
    world = Counted()
    wire = world.connect()
    wire.receive(odd)
    assert wire.answer().status == 200
    assert world.ordinary == 1


def test_handshake_with_subprotocols_is_left_to_autobahn():
    world = Counted()
    assert world.websocket("identifiers=chat", Sec_WebSocket_Protocol="chat").head[0] == 101
    assert world.ordinary == 1


@pytest.mark.parametrize("more", [{}, ODD])
def test_frame_right_behind_a_handshake_is_read(more):
    world = Counted()
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    wire = world.connect()
    wire.is_websocket = True
    listen = client_frame(b'{"type":"listen","groups":[{"identifiers":["chat"]}]}')
    wire.receive(request_bytes("GET", f"/{API_KEY}/websocket", None, {**headers, **more}) + listen)
    assert next(frame["type"] for frame in wire.frames()) == "ready"
    assert world.ordinary == len(more) // 2


@pytest.mark.parametrize("step", [1, 2, 7, len(PUSH) - 3])
def test_push_may_come_in_pieces(step):
    world = Counted()
    wire = world.connect()
    for at in range(0, len(PUSH), step):
        wire.receive(PUSH[at : at + step])
    assert wire.answer().status == 200
    assert world.ordinary == (step < len("POST /"))


@pytest.mark.parametrize("split", [1, 10, 100, 1000])
def test_pipelined_requests_are_answered_in_order_both_ways(split):
    world = Counted()
    odd = PUSH.replace(b"Host: localhost", b"Host: localhost\r\nX-Twice: a\r\nX-Twice: a")
    sent = PUSH * 3 + odd + PUSH + odd + PUSH
    wire = world.connect()
    for at in range(0, len(sent), split):
        wire.receive(sent[at : at + split])
    heads = wire.transport.value().split(b"HTTP/1.1 200 OK\r\n")[1:]
    positions = [json.loads(head.partition(b"\r\n\r\n")[2])["position"] for head in heads]
    assert positions == sorted(positions)
    assert len(positions) == 7
    assert world.ordinary >= 2


def test_requests_behind_a_waiting_poll_wait_within_a_bound():
    world = Counted()
    position = world.pushed("chat", "one")
    wire = world.connect()
    wire.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={position}"))
    wire.receive(PUSH)
    assert not wire.answered
    for _ in range(MOST_EARLY // len(PUSH) + 1):
        if wire.transport.producerState == "producing":
            wire.receive(PUSH)
    assert wire.transport.producerState == "paused"
    world.pushed("chat", "two")
    answers = wire.transport.value().split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [frame["text"] for frame in map(json.loads, answers[0].partition(b"\r\n\r\n")[2].splitlines()[:1])] == [
        "two"
    ]
    assert len(answers) > 10
    assert wire.transport.producerState == "producing"
    assert world.ordinary == 0


def test_connection_close_is_obeyed_behind_the_answer():
    world = Counted()
    wire = world.connect()
    wire.receive(PUSH.replace(b"Host: localhost", b"Host: localhost\r\nConnection: close") + PUSH)
    assert wire.answer().headers["connection"] == "close"
    assert not wire.answered
    assert wire.transport.disconnecting
    assert world.ordinary == 0


@pytest.mark.parametrize("way", [b"", b"X-Twice: a\r\nX-Twice: a\r\n"])
@pytest.mark.parametrize(
    ("connection", "closes"),
    [
        (b"close", True),
        (b"close,keep-alive", True),
        (b"keep-alive , CLOSE", True),
        (b"keep-alive", False),
        (b"keep-alive,keep-alive", False),
        (b"close-not", False),
    ],
)
def test_connection_is_read_as_a_list_both_ways(way, connection, closes):
    world = World()
    wire = world.connect()
    wire.receive(
        PUSH.replace(b"Host: localhost\r\n", b"Host: localhost\r\n%bConnection: %b\r\n" % (way, connection)) * 2
    )
    assert wire.transport.disconnecting == closes
    assert wire.transport.value().count(b"HTTP/1.1 200 OK") == 2 - closes
    assert wire.transport.value().count(b"Connection: close\r\n") == closes


def test_close_in_the_second_of_two_connection_headers_is_obeyed():
    wire = World().connect()
    wire.receive(PUSH.replace(b"Host:", b"Connection: keep-alive\r\nConnection: close\r\nHost:"))
    assert wire.transport.disconnecting


def test_idle_connection_is_closed_unless_its_poll_waits():
    world = World(heartbeat=200)
    quiet, begun, polls = world.connect(), world.connect(), world.connect()
    begun.receive(PUSH[:40])
    position = world.pushed("chat", "one")
    polls.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={position}"))
    world.advance(58)
    assert not quiet.transport.disconnecting
    world.advance(4)
    assert quiet.transport.disconnecting
    assert begun.transport.disconnecting
    world.advance(70)
    assert not polls.transport.disconnecting
    world.pushed("chat", "two")
    assert polls.answer().status == 200
    world.advance(58)
    assert not polls.transport.disconnecting
    world.advance(4)
    assert polls.transport.disconnecting


# Polls that are repeated on their connection.


def poll_bytes(groups: dict[str, int | None], key: str | None, by_query: bool = False, **headers: str) -> bytes:
    """`groups`: the names of each group, and its position. A query has only the first one."""
    if by_query:
        names, position = next(iter(groups.items()))
        query = f"identifiers={names}&listener=0123456789" + (f"&secureKey={key}" if key else "")
        query += "" if position is None else f"&position={position}"
        return request_bytes("GET", f"/{API_KEY}/poll?{query}", None, headers)
    asked = []
    for names, position in groups.items():
        group: dict[str, Any] = {"identifiers": names.split(",")}
        if key:
            group["secureKey"] = key
        if position is not None:
            group["position"] = position
        asked.append(group)
    frame = {"type": "listen", "listener": "0123456789", "groups": asked}
    return request_bytes("POST", f"/{API_KEY}/poll", json.dumps(frame, separators=(",", ":")).encode(), headers)


class Company:
    """A poller that is always there. Its view, and so what others were owed, is kept until these poll again."""

    def __init__(self, world: World, key: str | None, names: str) -> None:
        self.world, self.key, self.names = world, key, names
        self.position: int | None = None
        self.come_again()

    def come_again(self) -> None:
        """Poll again, on a new connection each time."""
        self.wire = self.world.connect("10.9.9.9")
        self.wire.receive(
            poll_bytes({self.names: self.position}, self.key, by_query=True).replace(b"0123456789", b"in_company")
        )
        if self.wire.answered:
            self.position = self.wire.answer().frames[-1]["position"]
            self.come_again()


resumes = st.sampled_from(["last", "last", "last", "old", "old", "future", "none"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from(["chat", "metrics"]), st.booleans()),
        st.tuples(st.just("poll"), resumes, resumes),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 30, 200]), st.none()),
        st.tuples(st.just("swap"), st.sampled_from(["secret", "origin"]), st.none()),
        st.tuples(st.just("elsewhere"), st.none(), st.none()),
    ),
    min_size=1,
    max_size=10,
)
BEFORE = [("poll", "none", "none"), ("poll", "last", "last"), ("push", "chat", False)]


@given(steps, st.sampled_from([["chat"], ["chat,metrics"], ["chat", "metrics"]]), st.booleans(), st.booleans())
@settings(max_examples=60)
def test_repeated_polls_are_answered_like_first_polls(  # noqa: C901, PLR0912 - a table in steps
    steps, names, keyed, by_query
):
    same, apart = World(), World()
    wire = same.connect()
    waiting: tuple[Wire, Wire] | None = None
    key = secure_key(*names[0].split(",")) if keyed else None
    company = [Company(world, key, ",".join(names)) for world in (same, apart)]
    position, first = None, same.clock()
    for what, how, flag in BEFORE + steps:
        if what == "push":
            assert same.push(how, "x", int(flag)).body == apart.push(how, "x", int(flag)).body
        elif what == "wait":
            same.advance(how)
            apart.advance(how)
        elif what == "swap":
            account = Account(
                API_KEY, ("another secret",) if how == "secret" else (API_SECRET,), origins=("https://a",)
            )
            for world in (same, apart):
                world.server.change_accounts(type(world.server.settings)((account,)))
                world.server.change_accounts(type(world.server.settings)((Account(API_KEY, (API_SECRET,)),)))
                world.settle()
        elif what == "elsewhere":
            for world in (same, apart):
                world.connect().receive(poll_bytes(dict.fromkeys(names, position), key, by_query))
        elif waiting is None:
            if wire.transport.disconnecting:  # it was idle for too long
                wire = same.connect()
            positions = {"last": position, "old": first, "future": 2**52, "none": None}
            asked = poll_bytes(dict(zip(names, (positions[how], positions[flag]), strict=False)), key, by_query)
            waiting = wire, apart.connect()
            for each in waiting:
                each.receive(asked)
        if waiting is not None and waiting[0].answered:
            one, two = (each.answer() for each in waiting)
            assert (one.status, one.body) == (two.status, two.body)
            waiting = None
            position = next((f["position"] for f in reversed(one.frames) if "position" in f), position)
        for each in company:
            if each.wire.answered:
                each.come_again()
    assert waiting is None or not waiting[1].answered


def test_poll_that_replaces_the_last_one_of_its_view_is_served():
    world = World()
    position = world.pushed("chat", "one")
    one, other = world.connect(), world.connect()
    for _ in range(2):
        one.receive(poll_bytes({"chat": position - 1}, None))
        assert one.answer().frames[0]["text"] == "one"
    one.receive(poll_bytes({"chat": position}, None))
    other.receive(poll_bytes({"chat": position}, None))
    assert one.answer().json["code"] == "replaced"
    one.receive(poll_bytes({"chat": position}, None))
    assert other.answer().json["code"] == "replaced"
    world.pushed("chat", "two")
    assert [frame.get("text") for frame in one.answer().frames] == ["two", None]
    quiet = world.stream("identifiers=chat")
    world.advance(60)
    assert [frame["type"] for frame in quiet.frames()].count("heartbeat") >= 2


def test_replaced_poll_that_came_back_ends_with_its_connection():
    world = World()
    position = world.pushed("chat", "one")
    one, two, other = world.connect(), world.connect(), world.poll(f"identifiers=chat&position={position}")
    one.receive(poll_bytes({"chat": position - 1}, None))
    assert one.answer().status == 200
    one.receive(poll_bytes({"chat": position}, None))
    two.receive(poll_bytes({"chat": position}, None))
    assert one.answer().json["code"] == "replaced"
    one.receive(poll_bytes({"chat": position}, None))
    assert two.answer().json["code"] == "replaced"
    one.lose()
    two.lose()
    assert world.push("chat", "two").json["listeners"] == 1
    assert [frame.get("text") for frame in other.answer().frames] == ["two", None]


def test_poll_replaced_by_a_pipelined_poll_is_told():
    world = World()
    position = world.pushed("chat", "one")
    one, other = world.connect(), world.connect()
    one.receive(poll_bytes({"chat": position - 1}, None))
    assert one.answer().status == 200
    one.receive(poll_bytes({"chat": position}, None))
    other.receive(poll_bytes({"chat": position}, None) * 2)
    assert one.answer().json["code"] == "replaced"
    one.receive(poll_bytes({"chat": position}, None))
    assert one.answer().json["code"] == "replaced"
    assert other.transport.value().count(b'"code":"replaced"') == 1
    assert world.push("chat", "two").json["listeners"] == 1
    assert other.transport.value().count(b'"text":"two"') == 1


def waits(world: World, **headers: str) -> Wire:
    """A connection whose poll waits for the third time, in company."""
    wire = world.connect()
    company = Company(world, secure_key("chat"), "chat")
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    wire.receive(poll_bytes({"chat": None}, secure_key("chat"), **headers))
    for text in ("one", "two"):
        position = wire.answer().frames[-1]["position"]
        wire.receive(poll_bytes({"chat": position}, secure_key("chat"), **headers))
        assert not wire.answered
        world.pushed("chat", text)
        company.come_again()
    position = wire.answer().frames[-1]["position"]
    wire.receive(poll_bytes({"chat": position}, secure_key("chat"), **headers))
    assert not wire.answered
    return wire


def test_repeated_poll_waits_a_whole_heartbeat():
    world = World()
    company = Company(world, None, "chat")
    wire = world.poll(f"identifiers=chat&position={world.pushed('chat', 'x')}")
    for passes in (7, 10, 24.5):  # until the next push
        world.advance(passes)
        world.pushed("chat", "x")
        company.come_again()
        wire.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={last_position(wire)}"))
    for _ in range(3):
        world.advance(24)
        assert not wire.answered
        world.advance(1)
        company.come_again()
        wire.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={last_position(wire)}"))


def last_position(wire: Wire) -> int:
    """The last position of the answer."""
    return wire.answer().frames[-1]["position"]


@pytest.mark.parametrize("by_query", [True, False])
def test_repeated_poll_may_differ_in_its_positions_only(by_query):
    world = World()
    now = world.pushed("chat", "one")
    groups = {"chat": now} if by_query else {"chat": now, "metrics": now - 7}
    wire = world.connect()
    asked = poll_bytes(groups, None, by_query)
    wire.receive(asked)
    again = wire.transport.protocol.again
    assert again.read(asked) == list(groups.values())
    later = poll_bytes({name: position + 12345 for name, position in groups.items()}, None, by_query)
    assert again.read(later) == [position + 12345 for position in groups.values()]
    at = asked.index(str(now).encode())
    for place in range(len(asked)):
        other = asked[:place] + bytes([asked[place] ^ 1]) + asked[place + 1 :]
        if b"0" <= other[place : place + 1] <= b"9" and again.read(other):
            assert at <= place < at + 16 or asked.index(str(now - 7).encode()) <= place
        else:
            assert again.read(other) is None
    assert again.read(asked[:at] + b"0" + asked[at + 1 :]) is None  # a leading zero: not a number in JSON
    assert again.read(asked + b" ") is None
    assert again.read(asked[:-1]) is None


def test_repeated_poll_with_a_revoked_key_gets_no_secret_push():
    world = World()
    wire = waits(world)
    world.pushed("chat", "three")
    position = wire.answer().frames[-1]["position"]
    world.server.change_accounts(type(world.server.settings)((Account(API_KEY, ("another", "third")),)))
    Company(world, secure_key("chat", secret="another"), "chat")
    wire.receive(poll_bytes({"chat": position}, secure_key("chat")))
    fields: dict[str, str | bytes] = {"text": "hush", "secret": "1", "secure": secure("chat", "hush", secret="another")}
    assert world.request("POST", f"/{API_KEY}/push/chat", form(fields), **FORM).answer().status == 200
    assert not wire.answered


def test_repeated_poll_is_counted_at_its_new_address():
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1), trusted_proxies=(ip_network("10.0.0.0/8"),))
    wire = waits(world, X_Forwarded_For="9.9.9.1")
    world.pushed("chat", "three")
    position = wire.answer().frames[-1]["position"]
    Company(world, secure_key("chat"), "chat")
    assert world.request("GET", f"/{API_KEY}/stream?identifiers=chat", X_Forwarded_For="9.9.9.2").head[0] == 200
    wire.receive(poll_bytes({"chat": position}, secure_key("chat"), **{"X-Forwarded-For": "9.9.9.2"}))
    assert wire.answer().status == 429


def test_position_in_another_field_is_not_read():
    world = World()
    now = world.pushed("chat", "one")
    wire = world.connect()
    company = Company(world, None, "chat")

    def ask(fake: int) -> None:
        groups = f'[{{"identifiers":["chat"],"position":"{now}"}}]'
        body = f'{{"type":"listen","x\\"position":{fake},"groups":{groups}}}'
        wire.receive(request_bytes("POST", f"/{API_KEY}/poll", body.encode()))

    ask(now)
    world.pushed("chat", "two")
    assert [frame.get("text") for frame in wire.answer().frames] == ["two", None]
    company.come_again()
    world.advance(1)
    ask(world.clock())
    assert [frame.get("text") for frame in wire.answer().frames] == ["two", None]
