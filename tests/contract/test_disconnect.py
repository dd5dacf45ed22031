"""Section 8: a back end disconnects a visitor, and the visitor's older tokens are refused."""

import itertools
import json
import time

import pytest
from twisted.logger import globalLogPublisher

from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.core.revocation import KEPT
from cometify.membership.listener_search import SEARCH
from cometify.membership.slots import SlotTable
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    OPEN,
    TRANSPORTS,
    by_frame,
    by_query,
    code_of,
    kinds,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import Closed, form, jwt, request_bytes, seal, secure_key

PATH, JSON = f"/{API_KEY}/disconnect", "application/json"
NONCES = itertools.count()
BEARER = {"Content-Type": JSON, "Authorization": f"Bearer {API_SECRET}"}


def nonce():
    return f"disconnect-{next(NONCES):08}"


def signed(world, body, **more):
    return seal(PATH, body, world.wall(), nonce(), kind=JSON, **more)


def send(world, body, headers=None):
    wire = world.connect("127.0.0.1")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    wire.receive(request_bytes("POST", PATH, data, signed(world, data) if headers is None else headers))
    return wire.answer()


def disconnected(world, **whom):
    answer = send(world, whom)
    assert answer.status == 200, answer
    return answer.json["disconnected"]


def token(world, subject, *names, **claims):
    made = {"exp": world.wall() + 3600, "iat": int(world.wall()), "identifiers": names or ["chat"], "sub": subject}
    return jwt({name: value for name, value in {**made, **claims}.items() if value is not None})


def listens(world, transport, made, names="chat", **more):
    wire = by_query(world, transport, f"identifiers={names}&token={made}&position={world.clock()}", **more)
    if transport != "poll":
        assert kinds(wire.frames()) == ["ready", "heartbeat"]
    return wire


def assert_sent_away(wire, transport):
    """The end of a connection that was open, or of a poll that waited."""
    if transport == "poll":
        assert refusal(wire) == ("not_authorized", 403)
        return
    error, *rest = wire.frames()
    assert (error["type"], error["code"], error["retry"]) == ("error", "not_authorized", None)
    assert [frame.get("code") for frame in rest if frame["type"] == "(close)"] == [4001] * (transport == "websocket")


def is_undisturbed(wire):
    return "error" not in kinds(wire.frames())


def refused_as(transport):
    return "invalid_token", 4001 if transport == "websocket" else 403


# A subject.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_subject_is_disconnected_and_its_token_refused(transport):
    world = World(heartbeat=200)
    made = token(world, "user_7")
    wire, other = listens(world, transport, made), listens(world, "websocket", token(world, "user_8"))
    assert disconnected(world, subject="user_7") == 1
    assert_sent_away(wire, transport)
    assert refusal(by_query(world, transport, f"identifiers=chat&token={made}")) == refused_as(transport)
    assert is_undisturbed(other)
    assert disconnected(world, subject="user_7") == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_token_issued_after_the_revocation_is_accepted(transport):
    world = World(heartbeat=200)
    disconnected(world, subject="user_7")
    world.advance(1)
    made = token(world, "user_7")
    wire = listens(world, transport, made)
    world.pushed("chat", "hush", secret=1)
    assert texts(wire.frames()) == ["hush"]


@pytest.mark.parametrize(
    ("issued", "accepted"),
    [(None, False), (-3600, False), (-0.4, False), (0, False), (0.9, False), (1, True), (2.5, True)],
)
def test_second_of_the_revocation_counts_as_before_it(world, issued, accepted):
    world.advance(0.4)
    second = int(world.wall())
    disconnected(world, subject="user_7")
    made = token(world, "user_7", iat=None if issued is None else second + issued)
    wire = by_query(world, "stream", f"identifiers=chat&token={made}")
    assert wire.head[0] == (200 if accepted else 403)


def test_tokens_of_others_and_without_a_sub_stay_accepted(world):
    disconnected(world, subject="user_7")
    for made in (token(world, "user_70"), token(world, "User_7"), token(world, None, iat=0)):
        assert by_query(world, "stream", f"identifiers=chat&token={made}").head[0] == 200
    key = secure_key("chat")
    assert by_query(world, "stream", f"identifiers=chat&secureKey={key}").frames()[0]["secret"] == ["chat"]


def test_accounts_do_not_share_subjects():
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,)))
    made = token(world, "user_7")
    wire = by_query(world, "stream", f"identifiers=chat&token={made}", key="other")
    wire.frames()
    assert disconnected(world, subject="user_7") == 0
    assert is_undisturbed(wire)
    assert by_query(world, "stream", f"identifiers=chat&token={made}", key="other").head[0] == 200


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_any_group_of_the_subject_ends_the_whole_listener(transport):
    world = World(heartbeat=200)
    at = world.clock()
    groups = [
        {"identifiers": ["news"], "position": at},
        {"identifiers": ["chat"], "position": at, "token": token(world, "user_8")},
        {"identifiers": ["tweets"], "position": at, "token": token(world, "user_7", "another")},
        {"identifiers": ["metrics"], "position": at, "secureKey": secure_key("metrics")},
    ]
    wire = by_frame(world, transport, *groups)
    if transport != "poll":
        assert kinds(wire.frames()) == ["ready", "heartbeat"]
    assert disconnected(world, subject="user_7") == 1
    assert_sent_away(wire, transport)
    assert refusal(by_frame(world, transport, *groups)) == refused_as(transport)


def test_all_connections_of_a_subject_end(world):
    wires = [
        (listens(world, transport, token(world, "user_7"), host=f"10.1.{number}.1"), transport)
        for number, transport in enumerate(OPEN * 15)
    ]
    assert disconnected(world, subject="user_7") == 45
    for wire, transport in wires:
        assert_sent_away(wire, transport)


def test_later_listen_with_a_revoked_token_ends_the_websocket(world):
    wire = by_frame(world, "websocket", {"identifiers": ["chat"]})
    wire.frames()
    made = token(world, "user_7")
    disconnected(world, subject="user_7")
    wire.listen({"identifiers": ["chat"], "token": made})
    assert refusal(wire) == ("invalid_token", 4001)


def test_websocket_that_listens_as_another_leaves_its_subject(world):
    wire = by_frame(world, "websocket", {"identifiers": ["chat"], "token": token(world, "user_7")})
    wire.listen({"identifiers": ["chat"], "token": token(world, "user_8")})
    assert disconnected(world, subject="user_7") == 0
    assert is_undisturbed(wire)
    wire.listen({"identifiers": ["chat"]})
    assert disconnected(world, subject="user_8") == 0
    assert is_undisturbed(wire)


@pytest.mark.parametrize("transport", ["websocket", "events"])
def test_subject_whose_token_has_expired_is_disconnected(transport):
    world = World(heartbeat=200)
    wires = [listens(world, transport, token(world, name, exp=world.wall() + 5)) for name in ("user_7", "user_8")]
    world.advance(6)
    for wire in wires:
        assert kinds(wire.frames()) == ["ready", "heartbeat"]
    assert disconnected(world, subject="user_7") == 1
    assert_sent_away(wires[0], transport)
    assert is_undisturbed(wires[1])
    wires[1].lose()
    assert len(world.server.membership._disconnects) == 0


def test_subject_whose_token_lost_its_secret_is_disconnected():
    world = World(Account(API_KEY, (API_SECRET, "old")))
    made = {"exp": world.wall() + 60, "iat": int(world.wall()), "identifiers": ["chat"], "sub": "user_7"}
    wire = listens(world, "websocket", jwt(made, "old"))
    world.server.change_accounts(Settings((Account(API_KEY, (API_SECRET,)),)))
    world.settle()
    assert wire.frames()[0]["secret"] == []
    assert disconnected(world, subject="user_7") == 1
    assert_sent_away(wire, "websocket")


def test_websocket_leaves_the_subject_of_an_expired_token(world):
    wire = by_frame(
        world, "websocket", {"identifiers": ["chat"], "token": token(world, "user_7", exp=world.wall() + 5)}
    )
    world.advance(6)
    wire.listen({"identifiers": ["chat"]})
    assert disconnected(world, subject="user_7") == 0
    assert is_undisturbed(wire)


def test_websocket_renews_its_token_after_the_revocation(world):
    wire = by_frame(world, "websocket", {"identifiers": ["chat"], "token": token(world, "user_8")})
    wire.frames()
    disconnected(world, subject="user_7")
    world.advance(1.5)
    wire.listen({"identifiers": ["chat"], "token": token(world, "user_7")})
    assert wire.frames()[0]["secret"] == ["chat"]
    assert disconnected(world, subject="user_7") == 1
    assert refusal(wire) == ("not_authorized", 4001)


class Poller:
    """A poller that comes again on its connection, with a token or with whatever `groups` it has."""

    def __init__(self, world, host, *groups):
        self.world = world
        self.groups = groups
        self.wire = world.connect(host)
        self.position = world.clock()
        self.again()

    def again(self):
        groups = [{"identifiers": ["chat"], "position": self.position, **group} for group in self.groups]
        body = json.dumps(
            {"type": "listen", "listener": "0123456789", "groups": groups}, separators=(",", ":")
        ).encode()
        self.wire.receive(request_bytes("POST", f"/{API_KEY}/poll", body))

    def answered(self):
        frames = self.wire.answer().frames
        assert texts(frames) == ["x"]
        self.position = frames[-1]["position"]


def company_of(world, *groups):
    """A poller that polls again and again, and another one in the same view, so that the view is never forgotten."""
    pollers = Poller(world, "10.0.0.1", *groups), Poller(world, "10.9.9.9", *others_of(world, len(groups)))
    for _ in range(3):
        world.pushed("chat", "x", secret=1)
        for poller in pollers:
            poller.answered()
        pollers[1].again()
        pollers[0].again()
    return pollers[0]


def others_of(world, count):
    return [{"token": token(world, "user_8")}, {"secureKey": secure_key("chat")}][:count]


@pytest.mark.parametrize("keyed", [False, True])
def test_poll_that_comes_again_with_a_revoked_token_is_refused(keyed):
    """With a secureKey beside the token the right would not end with the token."""
    world = World(heartbeat=200)
    groups = [{"token": token(world, "user_7")}, {"secureKey": secure_key("chat")}][: 1 + keyed]
    poller = company_of(world, *groups)
    world.pushed("chat", "x")
    poller.answered()
    assert disconnected(world, subject="user_7") == 0
    poller.again()
    assert poller.wire.answer().json["code"] == "invalid_token"


@pytest.mark.parametrize("keyed", [False, True])
def test_poll_that_came_again_is_disconnected(keyed):
    world = World(heartbeat=200)
    groups = [{"token": token(world, "user_7")}, {"secureKey": secure_key("chat")}][: 1 + keyed]
    poller = company_of(world, *groups)
    assert disconnected(world, subject="user_7") == 1
    assert refusal(poller.wire) == ("not_authorized", 403)
    poller.again()
    assert poller.wire.answer().json["code"] == "invalid_token"


def test_revoked_token_does_not_replace_the_listener_of_its_id(world):
    made = token(world, "user_7")
    disconnected(world, subject="user_7")
    wire = by_query(world, "websocket", "identifiers=chat&listener=me-0123456")
    wire.frames()
    refused = by_query(world, "stream", f"identifiers=chat&listener=me-0123456&token={made}")
    assert refusal(refused) == ("invalid_token", 403)
    assert is_undisturbed(wire)


def test_listeners_that_left_are_not_in_the_index(world):
    for transport in TRANSPORTS:
        listens(world, transport, token(world, "user_7")).lose()
    assert disconnected(world, subject="user_7") == 0
    assert len(world.server.membership._disconnects) == 0


def test_revocation_outlives_the_quiet_of_the_account(world):
    made = token(world, "user_7", exp=world.wall() + 40 * 86400)
    disconnected(world, subject="user_7")
    world._pass(2 * 86400.0)
    world.advance(10)
    assert refusal(by_query(world, "stream", f"identifiers=chat&token={made}")) == ("invalid_token", 403)


@pytest.mark.memory
def test_revocation_is_forgotten_after_31_days():
    world = World()
    made = token(world, "user_7", exp=world.wall() + 40 * 86400)
    disconnected(world, subject="user_7")
    world._pass(KEPT - 20.0)
    world.advance(10)
    assert refusal(by_query(world, "stream", f"identifiers=chat&token={made}")) == ("invalid_token", 403)
    world._pass(30.0)
    world.advance(10)
    assert by_query(world, "stream", f"identifiers=chat&token={made}").head[0] == 200


# A listener id.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_listener_id_is_disconnected_and_may_come_again(transport):
    world = World(heartbeat=200)
    query = f"identifiers=chat&position={world.clock()}&listener="
    wire, other = by_query(world, transport, query + "me-0123456"), by_query(world, "websocket", query + "you-012345")
    if transport != "poll":
        wire.frames()
    assert disconnected(world, listener="me-0123456") == 1
    assert_sent_away(wire, transport)
    assert is_undisturbed(other)
    assert disconnected(world, listener="nobody-here") == 0
    again = by_query(world, transport, query + "me-0123456")
    assert disconnected(world, listener="me-0123456") == 1
    if transport == "poll":
        assert refusal(again) == ("not_authorized", 403)


def test_listener_id_is_found_at_every_address_of_the_account():
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,)))
    query = "identifiers=chat&listener=me-0123456"
    wires = [by_query(world, "websocket", query, host=f"10.0.0.{number}") for number in range(1, 4)]
    other = by_query(world, "websocket", query, key="other")
    for wire in (*wires, other):
        wire.frames()
    assert disconnected(world, listener="me-0123456") == 3
    for wire in wires:
        assert_sent_away(wire, "websocket")
    assert is_undisturbed(other)


@pytest.mark.memory
def test_search_among_many_listeners_goes_in_steps(monkeypatch):
    monkeypatch.setattr("cometify.membership.listener_search.SEARCH", 10)
    assert SEARCH > 10
    world = World()
    query = "identifiers=chat&listener="
    wires = [by_query(world, "websocket", f"{query}listener-{n}", host=f"10.0.{n}.1") for n in range(35)]
    for number in (0, 9, 10, 34):
        assert disconnected(world, listener=f"listener-{number}") == 1
        wires[number].frames()
    assert len(world.server.membership) == 31


@pytest.mark.memory
def test_many_searches_at_once_look_through_the_slots_together(monkeypatch):
    monkeypatch.setattr("cometify.membership.listener_search.SEARCH", 10)
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,)))
    query = "identifiers=chat&listener="
    for number in range(35):
        for key in (API_KEY, "other"):
            by_query(world, "websocket", f"{query}listener-{number}", host=f"10.0.{number}.1", key=key)
    looked, listeners = [], SlotTable.listeners
    monkeypatch.setattr(SlotTable, "listeners", lambda table: looked.append(1) or listeners(table))
    wires = []
    for number in range(60):
        wires.append(world.connect("127.0.0.1"))
        body = b'{"listener":"listener-%d"}' % number
        wires[-1].transport.protocol.dataReceived(request_bytes("POST", PATH, body, BEARER))
    world.settle()
    assert [wire.answer().json["disconnected"] for wire in wires] == [1] * 35 + [0] * 25
    assert len(looked) <= 4
    assert len(world.server.membership) == 35


# The request.


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subject": "user_7", "listener": "me-0123456"},
        {"subject": "user_7", "reason": "x"},
        {"user": "user_7"},
        {"subject": ""},
        {"subject": "x" * 129},
        {"subject": 7},
        {"subject": None},
        {"subject": "a\nb"},
        {"subject": "\ud800"},
        {"listener": None},
        {"listener": "short"},
        {"listener": "with space"},
        [],
        b"",
        b"{",
        b'{"subject":"a","subject":"b"}',
    ],
    ids=repr,
)
def test_malformed_request_is_told_what_to_send(world, body):
    answer = send(world, body)
    assert answer.status == 400
    assert code_of(answer) in ("invalid_parameter", "missing_parameter", "invalid_body", "repeated_parameter")
    assert "access-control-allow-origin" not in answer.headers


def test_longest_subject_and_one_beyond_ascii_are_taken(world):
    for subject in ("x" * 128, "Zoë 7"):
        wire = listens(world, "websocket", token(world, subject))
        assert disconnected(world, subject=subject) == 1
        assert_sent_away(wire, "websocket")


def test_only_publishers_who_prove_themselves_may_disconnect():
    world = World()
    made = token(world, "user_7")
    wire = listens(world, "websocket", made)
    body = b'{"subject":"user_7"}'
    unsigned = send(world, body, {"Content-Type": JSON})
    assert (unsigned.status, code_of(unsigned)) == (400, "missing_parameter")
    for headers in (signed(world, body, secret="wrong"), {**BEARER, "Authorization": "Bearer wrong"}):
        assert code_of(send(world, body, headers)) == "not_authorized"
    assert code_of(send(world, form({"subject": "user_7"}), {**BEARER, "Content-Type": "text/plain"})) == (
        "unsupported_media_type"
    )
    assert is_undisturbed(wire)
    assert by_query(world, "stream", f"identifiers=chat&token={made}").head[0] == 200
    assert send(world, body, BEARER).json == {"disconnected": 2}


def test_signed_request_is_served_once(world):
    body = b'{"subject":"user_7"}'
    headers = signed(world, body)
    assert send(world, body, headers).json == {"disconnected": 0}
    world.advance(2)
    wire = listens(world, "websocket", token(world, "user_7"))
    assert code_of(send(world, body, headers)) == "nonce_reused"
    assert is_undisturbed(wire)


def test_answer_has_no_cors_headers_and_takes_only_post(world):
    answer = send(world, {"subject": "user_7"})
    assert answer.headers["content-type"] == JSON
    assert "access-control-allow-origin" not in answer.headers
    wire = world.request("OPTIONS", PATH, Origin="https://example.org")
    assert (wire.answer().status, world.request("GET", PATH).answer().status) == (405, 405)


def test_server_disconnects_nobody_at_the_end_of_a_drain(world):
    world.drain()
    world.advance(1)
    assert code_of(send(world, {"subject": "user_7"})) == "draining"


@pytest.mark.parametrize(
    "claims", [{"sub": ""}, {"sub": 7}, {"sub": None}, {"sub": "x" * 129}, {"sub": "\x00"}, {"sub": "a", "iat": "now"}]
)
def test_token_with_a_bad_sub_is_refused(world, claims):
    made = jwt({"exp": world.wall() + 60, "identifiers": ["chat"], **claims})
    assert refusal(by_query(world, "stream", f"identifiers=chat&token={made}")) == ("invalid_token", 403)


def test_secrets_tokens_and_subjects_are_in_no_log(world):
    events = []
    globalLogPublisher.addObserver(events.append)
    made = token(world, "user_7")
    listens(world, "websocket", made)
    send(world, {"subject": "user_7"}, BEARER)
    by_query(world, "stream", f"identifiers=chat&token={made}")
    globalLogPublisher.removeObserver(events.append)
    logged = repr(events)
    assert not any(part in logged for part in (API_SECRET, made.rpartition(".")[2], "user_7"))


def test_real_server_disconnects_a_visitor(server):
    made = jwt({"exp": time.time() + 60, "iat": time.time(), "identifiers": ["chat"], "sub": "user_7"})
    with server.websocket() as wire, server.stream("identifiers=chat") as other:
        wire.listen({"identifiers": ["chat"], "token": made})
        wire.joined()
        other.joined()
        answer = server.request("POST", PATH, b'{"subject":"user_7"}', headers=BEARER)
        assert answer.json == {"disconnected": 1}
        assert wire.next("error")["code"] == "not_authorized"
        with pytest.raises(Closed) as closed:
            wire.frame()
        assert closed.value.code == 4001
        server.pushed("chat", "still")
        assert other.texts(1) == ["still"]
    log = server.log.read_text()
    assert not any(part in log for part in (API_SECRET, made))
