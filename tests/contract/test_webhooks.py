"""Section 8: a webhook is told which identifiers are listened to, and what was refused."""

import json
from importlib.resources import files
from ipaddress import ip_network

import pytest
from jsonschema import Draft202012Validator
from twisted.logger import formatEvent, globalLogPublisher

from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.core.hmac_signature import SignedRequest, check_signed_request, digest
from cometify.core.webhook_events import Report
from tests.contract.support import API_KEY, API_SECRET, TRANSPORTS, by_query, post, texts
from tests.memory import World
from tests.webhook_receiver import ADDRESS, URL, Receiver
from tests.wire import form, request_bytes

OPENAPI = json.loads((files("cometify") / "static/openapi.json").read_text("utf-8"))
ACCOUNT = Account(API_KEY, (API_SECRET,), webhook=URL)


def make_world(*accounts, **settings):
    return World(*(accounts or (ACCOUNT,)), webhook_networks=(ip_network("10.9.8.7"),), **settings)


@pytest.fixture
def world(engine):
    return make_world()


@pytest.fixture
def receiver(world):
    """A receiver that was told that nothing is occupied."""
    receiver = Receiver(world)
    assert [event["type"] for event in receiver.run(3)] == ["reset"]
    return receiver


def told(events):
    return [(event["type"], event.get("identifier")) for event in events]


def join(world, transport, names):
    """A listener that stays."""
    query = f"identifiers={names}&listener=a-listener-of-a-test"
    wire = by_query(world, transport, query)
    if transport == "poll":
        wire = by_query(world, transport, f"{query}&position={wire.frames()[-1]['position']}")
    return wire


def leave(wire):
    wire.lose()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_first_listener_occupies_and_last_vacates(world, receiver, transport):
    first = join(world, transport, "Chat,news")
    assert told(receiver.run(2)) == [("occupied", "chat"), ("occupied", "news")]
    second = by_query(world, "websocket", "identifiers=chat")
    leave(first)
    assert told(receiver.run(10)) == [("vacated", "news")]
    leave(second)
    assert receiver.run(4.5) == []
    assert told(receiver.run(5)) == [("vacated", "chat")]


def test_quick_leave_and_return_makes_no_event(world, receiver):
    wire = by_query(world, "websocket", "identifiers=chat")
    receiver.run(3)
    for _ in range(3):
        leave(wire)
        assert receiver.run(4) == []
        wire = by_query(world, "websocket", "identifiers=chat")
        assert receiver.run(3) == []
    leave(wire)
    assert told(receiver.run(10)) == [("vacated", "chat")]


def test_poller_stays_although_it_comes_and_goes(world, receiver):
    wire = by_query(world, "poll", "identifiers=chat&listener=a-listener-of-a-test")
    assert told(receiver.run(2)) == [("occupied", "chat")]
    for _ in range(4):
        position = wire.frames()[-1]["position"]
        assert receiver.run(2) == []
        wire = by_query(world, "poll", f"identifiers=chat&listener=a-listener-of-a-test&position={position}")
        world.push("chat", "x")
    assert told(receiver.run(10)) == [("vacated", "chat")]


def test_poller_that_is_always_answered_at_once_stays(world, receiver):
    wire, position, events = world.connect(), 0, []
    query = "identifiers=chat&listener=a-listener-of-a-test"
    for number in range(15):
        world.push("chat", f"{number}")
        wire.receive(request_bytes("GET", f"/{API_KEY}/poll?{query}&position={position}"))
        world.settle()
        frames = [json.loads(line) for line in wire.answer().body.splitlines()]
        assert texts(frames) == [f"{number}"]
        position = frames[-1]["position"]
        events += told(receiver.run(1))
    assert events == [("occupied", "chat")]
    assert told(receiver.run(10)) == [("vacated", "chat")]


def test_requests_are_signed_like_those_of_publishers(world, receiver):
    by_query(world, "websocket", "identifiers=chat")
    receiver.run(2)
    request = receiver.requests[-1]
    assert request.target == "/hook?from=cometify"
    headers = request.headers
    signed = SignedRequest(
        b"POST",
        b"/hook",
        headers["content-type"],
        headers["idempotency-key"],
        digest(request.body),
        headers["cometify-timestamp"],
        headers["cometify-nonce"],
        headers["cometify-signature"],
    )
    assert check_signed_request(ACCOUNT, signed, world.wall()) is ACCOUNT
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == str(request.events[-1]["id"])
    assert len({request.headers["cometify-nonce"] for request in receiver.requests}) == len(receiver.requests)


def test_old_secret_signs_while_it_is_replaced(engine):
    world = make_world(Account(API_KEY, ("the new one", API_SECRET), webhook=URL))
    receiver = Receiver(world)
    receiver.run(3)
    headers = receiver.requests[0].headers
    signed = SignedRequest(
        b"POST", b"/hook", headers["content-type"], headers["idempotency-key"], digest(receiver.requests[0].body),
        headers["cometify-timestamp"], headers["cometify-nonce"], headers["cometify-signature"],
    )  # fmt: skip
    assert check_signed_request(ACCOUNT, signed, world.wall())


def test_events_are_as_openapi_describes(world, receiver):
    by_query(world, "websocket", "identifiers=chat").lose()
    receiver.answer, answers = b"", receiver.answer
    receiver.run(2)
    world.server.engine.webhooks.report(API_KEY, Report(refused={"not_authorized": 2}), again=False)
    receiver.run(330, 2)
    by_query(world, "websocket", "identifiers=news")
    receiver.answer = answers
    receiver.run(80)
    schema = {"$ref": "#/components/schemas/WebhookEvents", "components": OPENAPI["components"]}
    for request in receiver.requests:
        assert not list(Draft202012Validator(schema).iter_errors(request.events))
    types = {event["type"] for request in receiver.requests for event in request.events}
    assert types == {"occupied", "vacated", "refused", "reset", "dropped"}


def test_refusals_are_summed_up_by_code_once_a_minute(world, receiver):
    for _ in range(3):
        world.request("GET", f"/{API_KEY}/stream?identifiers=0")
        post(
            world, f"/{API_KEY}/push/chat", form({"identifier": "chat", "text": "x", "secret": "0", "secure": "0" * 32})
        )
    post(world, "/nobody/push/chat", b"text=x")
    by_query(world, "websocket", "identifiers=0")
    assert receiver.run(55) == []
    (event,) = receiver.run(10)
    assert (event["type"], event["codes"]) == ("refused", {"invalid_identifier": 4, "not_authorized": 3})
    world.request("GET", f"/{API_KEY}/stream?identifiers=0")
    assert receiver.run(58) == []
    (event,) = receiver.run(10)
    assert event["codes"] == {"invalid_identifier": 1}


def test_ids_grow_and_tell_the_time(world, receiver):
    for number in range(3):
        by_query(world, "websocket", f"identifiers=a{number},b{number}")
        receiver.run(2)
    events = [event for request in receiver.requests for event in request.events]
    ids = [event["id"] for event in events]
    assert len(ids) == 7
    assert ids == sorted(set(ids))
    assert [event["time"] for event in events] == [number // 1_000_000 for number in ids]
    assert abs(ids[-1] - world.clock()) < 5_000_000


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://10.9.8.7:8000/elsewhere\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"no HTTP\r\n",
        b"",
        None,
    ],
    ids=["500", "redirect", "endless head", "not http", "refused", "silent"],
)
def test_failed_request_is_sent_again_as_it_was(world, receiver, answer):
    receiver.answer, answers = answer, receiver.answer
    by_query(world, "websocket", "identifiers=chat")
    receiver.run(60)
    failed = receiver.requests[1:]
    assert answer == b"" or 3 <= len(failed) <= 8
    assert {request.body for request in failed} <= {receiver.requests[-1].body}
    receiver.answer = answers
    events = receiver.run(70)
    assert told(events) == [("occupied", "chat")]
    assert receiver.requests[-1].target == "/hook?from=cometify"
    assert receiver.run(70) == []


def test_status_decides_although_the_body_never_ends(world, receiver):
    receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"
    by_query(world, "websocket", "identifiers=chat")
    assert told(receiver.run(60)) == [("occupied", "chat")]
    assert receiver.open[-1].disconnecting


def test_connection_that_the_receiver_keeps_open_is_aborted(world, receiver):
    receiver.lingers = True
    by_query(world, "websocket", "identifiers=chat")
    assert told(receiver.run(2)) == [("occupied", "chat")]
    assert not receiver.open[-1].disconnecting
    receiver.run(5)
    assert receiver.open[-1].disconnecting


def test_one_request_at_a_time_in_order(world, receiver):
    receiver.answer, answers = None, receiver.answer
    for number in range(250):
        by_query(world, "websocket", f"identifiers=n{number}", host=f"10.1.{number}.1")
    receiver.run(8)
    assert len(receiver.requests) == 2
    receiver.answer = answers
    events = receiver.run(60)
    assert sorted({len(request.events) for request in receiver.requests}) == [1, 50, 100]
    names = [event["identifier"] for event in events]
    assert names == [f"n{number}" for number in range(250)]
    assert all(transport.disconnecting for transport in receiver.open)


def test_batch_is_given_up_after_five_minutes_and_told(world, receiver):
    receiver.answer, answers = b"", receiver.answer
    by_query(world, "websocket", "identifiers=chat")
    receiver.run(280, 2)
    assert len(receiver.connected) < 15
    by_query(world, "websocket", "identifiers=news")
    receiver.run(120, 2)
    receiver.answer = answers
    events = receiver.run(80)
    assert [(event["type"], event.get("count")) for event in events] == [("dropped", 1), ("occupied", None)]
    assert events[1]["identifier"] == "news"


def test_account_without_webhook_is_told_nothing(engine):
    world = make_world(Account(API_KEY, (API_SECRET,)))
    by_query(world, "websocket", "identifiers=chat")
    world.advance(10)
    assert world.reactor.tcpClients == []


def test_webhook_that_comes_later_is_told_who_listens(engine):
    world = make_world(Account(API_KEY, (API_SECRET,)))
    by_query(world, "websocket", "identifiers=chat")
    world.advance(10)
    world.server.change_accounts(Settings((ACCOUNT,)))
    receiver = Receiver(world)
    assert told(receiver.run(3)) == [("reset", None), ("occupied", "chat")]
    world.server.change_accounts(Settings((Account(API_KEY, (API_SECRET,)),)))
    by_query(world, "websocket", "identifiers=news")
    assert receiver.run(10) == []


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://127.0.0.1:8082/accounts", []),
        ("https://127.0.0.1/", []),
        ("https://[::1]/", []),
        ("https://[::ffff:10.0.0.1]/", []),
        ("https://hooks.example.org/", ["10.0.0.1", "fd00::1", "169.254.169.254"]),
        ("http://hooks.example.org/", ["93.184.216.34"]),
    ],
)
@pytest.mark.memory
def test_private_addresses_are_not_reached(url, addresses):
    world = make_world(Account(API_KEY, (API_SECRET,), webhook=url))
    world.names.addresses["hooks.example.org"] = addresses
    world.advance(30)
    assert world.reactor.tcpClients == []
    (state,) = world.server.webhooks.states()
    assert "which webhooks may not reach" in state.last_error


@pytest.mark.memory
def test_public_and_named_addresses_are_reached():
    world = make_world(Account(API_KEY, (API_SECRET,), webhook="https://hooks.example.org:444/"))
    world.names.addresses["hooks.example.org"] = ["10.0.0.1", "93.184.216.34"]
    world.advance(30)
    assert {client[:2] for client in world.reactor.tcpClients} == {("93.184.216.34", 444)}
    assert ADDRESS[0] not in world.names.addresses


# The operator's view.


@pytest.fixture
def logged():
    lines = []

    def observe(event):
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lambda: lines
    globalLogPublisher.removeObserver(observe)


def figures(world):
    lines = [line for line in world.admin("GET", "/metrics").body.decode().splitlines() if "webhook" in line]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


@pytest.mark.memory
@pytest.mark.parametrize("host", ["%31%32%37.0.0.1", "xn--a.org", "a" * 64 + ".org", "a..b"])
def test_host_that_cannot_exist_fails_like_a_dead_receiver(host, logged):
    world = make_world(Account(API_KEY, (API_SECRET,), webhook=f"https://{host}/"))
    world.advance(60)
    (line,) = [line for line in logged() if "webhook" in line.lower()]
    assert "does not take events" in line
    assert world.server.webhooks.states()[0].failing_since is not None
    assert 3 <= figures(world)['cometify_webhook_requests_total{result="failed"}'] <= 8


@pytest.mark.memory
def test_dead_receiver_for_an_hour_is_bounded_and_told(world, receiver, logged):
    receiver.answer, answers = b"", receiver.answer
    for number in range(12):
        by_query(world, "websocket", f"identifiers=a{number},b{number}", host=f"10.1.{number}.1")
        receiver.run(300, 2.5)
    lines = [line for line in logged() if "webhook" in line]
    assert len(lines) == 1
    assert "http://10.9.8.7:8000/hook of account" in lines[0]
    assert "from=cometify" not in lines[0]
    (state,) = world.server.webhooks.states()
    assert state.url == "http://10.9.8.7:8000/hook"
    assert "refused" in state.last_error.lower()
    assert state.failing_since == pytest.approx(world.wall() - 3600, abs=20)
    told_by_metrics = figures(world)
    assert told_by_metrics["cometify_webhooks_failing"] == 1
    assert told_by_metrics["cometify_webhook_events_dropped_total"] >= 16
    assert told_by_metrics["cometify_webhook_events_waiting"] <= 4
    assert 60 <= told_by_metrics['cometify_webhook_requests_total{result="failed"}'] <= 90
    receiver.answer = answers
    events = receiver.run(65)
    assert events[0]["type"] == "dropped"
    assert sum(event.get("count", 1) for event in events) == 24
    assert [line for line in logged() if "webhook" in line][1:] == [f"The webhook of account {API_KEY} answers again"]
    assert figures(world)["cometify_webhooks_failing"] == 0
    assert state.last_success == pytest.approx(world.wall(), abs=65)


@pytest.mark.memory
def test_request_that_the_server_ends_is_no_failure(world, receiver, logged):
    receiver.answer = None
    by_query(world, "websocket", "identifiers=chat")
    receiver.run(2)
    assert not receiver.open[-1].disconnecting
    world.server.change_accounts(Settings((Account(API_KEY, (API_SECRET,)),)))
    assert receiver.open[-1].disconnecting
    assert not [line for line in logged() if "does not take" in line]
    assert figures(world)['cometify_webhook_requests_total{result="failed"}'] == 0


HOSTILE = "ROOT PASSWORD EXPIRED visit http://evil.example"
UNREADABLE = "the answer is not whole, or is not HTTP ("


@pytest.mark.memory
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (f"HTTP/1.1 200 OK\r\nContent-Length: {HOSTILE}\r\n\r\n", UNREADABLE),
        (f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {HOSTILE}\r\n\r\n", UNREADABLE),
        (f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{HOSTILE}\r\n", None),
        (f"HTTP/1.1 500 {HOSTILE}\r\nContent-Length: 0\r\n\r\n", "the answer is 500; it must be 200 to 299"),
        (f"HTTP/1.1 {HOSTILE}\r\n\r\n", UNREADABLE),
        (f"{HOSTILE}\r\n\r\n", UNREADABLE),
        (f"HTTP/1.1 302 Found\r\nLocation: {HOSTILE}\r\nContent-Length: 0\r\n\r\n", "the answer is 302; it must be 200 to 299"),
        (f"HTTP/1.1 {'9' * 4200} OK\r\nContent-Length: 0\r\n\r\n", "the answer has no status of three digits"),
        (f"HTTP/1.1 {'9' * 5000} OK\r\nContent-Length: 0\r\n\r\n", UNREADABLE),
        ("HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n", "the answer has no status of three digits"),
        ("HTTP/1.1 200 OK\r\nX: " + HOSTILE * 2000, UNREADABLE),
    ],
)  # fmt: skip
def test_receiver_writes_no_words_into_the_log(world, receiver, logged, answer, reason):
    receiver.answer = answer.encode()
    by_query(world, "websocket", "identifiers=chat")
    receiver.run(60)
    for line in [*logged(), str(world.server.webhooks.states())]:
        assert "evil" not in line
        assert len(line) < 600
    (state,) = world.server.webhooks.states()
    assert state.last_error is None if reason is None else state.last_error.startswith(reason)


@pytest.mark.memory
def test_webhook_that_fails_by_turns_is_one_line_a_minute(world, receiver, logged):
    good, bad = receiver.answer, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    for number in range(300):
        receiver.answer = bad if number % 2 else good
        by_query(world, "websocket", f"identifiers=a{number}", host=f"10.1.{number % 250}.1")
        receiver.run(2)
    lines = [line for line in logged() if "webhook" in line]
    assert 2 <= len(lines) <= 11
    receiver.answer = good
    receiver.run(130)
    assert [line for line in logged() if "webhook" in line][-1] == f"The webhook of account {API_KEY} answers again"
    # It is told that it works, although nothing was sent since.
    receiver.answer = bad
    by_query(world, "websocket", "identifiers=b")
    receiver.run(1.5)
    receiver.answer = good
    receiver.run(10)
    before = len(logged())
    assert "does not take events" in logged()[-1]
    receiver.run(60)
    assert logged()[before:] == [f"The webhook of account {API_KEY} answers again"]
