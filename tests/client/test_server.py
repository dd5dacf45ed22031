"""Each client beside a real server."""

import secrets
import threading
import time
from datetime import timedelta

import pytest

from cometify.client import ABSENT, CometifyError, Push, Pushed
from cometify.core.token import read_token
from tests.client.shells import Shell
from tests.wire import API_KEY, API_SECRET, secure_key

LONG = 20.0
"""Seconds: a deadline that no test reaches, on a busy machine either."""


@pytest.fixture
def pushing(client, server) -> Shell:
    return client(f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}", timeout=LONG)


def refusal(call, *arguments, **options):
    with pytest.raises(CometifyError) as caught:
        call(*arguments, **options)
    assert type(caught.value) is CometifyError
    return caught.value


def frames(server, identifier, position, **more):
    listen = {"groups": [{"identifiers": [identifier], "position": position, **more}]}
    return [frame for frame in server.poll(listen).frames if frame["type"] == "push"]


def test_push_arrives_as_it_was_given(server, pushing):
    since = pushing.position()
    highest = 2**63 - 1
    key = secure_key("Chat_1")
    text = 'Grüße \u2028"\\\n😀 \x1b'
    pushed = pushing.push("Chat_1", text, secret=True, push_id=highest, event="Created")
    assert pushed == Pushed("chat_1", highest, pushed.position, 0)
    assert pushing.push("chat_1", {"a": [1, None, "é", 2**60]}).position > pushed.position
    pushing.push("chat_1", data="a string")
    pushing.push("chat_1", data=None)
    pushing.push("chat_1", "")
    one, *others = frames(server, "Chat_1", since, secureKey=key)
    assert (one["text"], one["push_id"], one["event"]) == (text, str(highest), "Created")
    assert [frame.get("data", "none") for frame in others] == [{"a": [1, None, "é", 2**60]}, "a string", None, "none"]
    assert others[-1]["text"] == ""
    assert len(frames(server, "chat_1", since)) == 4


def test_push_leaves_out_the_listener_that_caused_it(server, pushing):
    since = pushing.position()
    pushing.push("chat_2", "Hello world!", except_="9f2c51d07ab34e18")
    listen = {"groups": [{"identifiers": ["chat_2"], "position": since}]}
    pushing.push("chat_2", "Another one")
    assert "Hello world!" in str(server.poll(listen).frames)
    assert "Hello world!" not in str(server.poll({"listener": "9f2c51d07ab34e18", **listen}).frames)


def test_url_with_https_for_a_port_without_tls_says_so(server, client):
    pushing = client(f"https://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}", timeout=10)
    error = refusal(pushing.push, "chat_2", "Hello world!")
    assert error.code == "unreachable"
    assert error.detail.endswith("begin the URL with http://, or serve TLS at this port.")


def test_wrong_secret_is_told_in_terms_of_the_library(server, client):
    pushing = client(f"http://{API_KEY}:wrong@127.0.0.1:{server.port}", timeout=LONG)
    error = refusal(pushing.push, "chat_2", "Hello world!")
    assert (error.code, error.status) == ("not_authorized", 403)
    assert "If a library signs, check the API key and the API secret in its URL." in error.detail


def test_key_pushes_once(server, pushing):
    key = secrets.token_hex(8)
    one = pushing.push("chat_3", "Hello world!", idempotency_key=key)
    two = pushing.push("chat_3", "Hello world!", idempotency_key=key)
    assert (one.duplicate, two.duplicate, two.position) == (False, True, one.position)
    error = refusal(pushing.push, "chat_3", "Another text", idempotency_key=key)
    assert (error.code, error.status) == ("idempotency_mismatch", 409)


def test_batch_is_answered_in_its_order(server, pushing):
    since = pushing.position()
    one, two = pushing.batch([Push("chat_4", "one", push_id=1), Push("chat_4", {"two": 2}, secret=True)])
    assert (one.push_id, two.push_id) == (1, None)
    assert since < one.position < two.position
    assert pushing.batch([]) == []
    error = refusal(pushing.batch, [Push("chat_4", "one"), Push("chat-4", "two")])
    assert error.code == "invalid_identifier"
    assert "2" in error.detail
    assert len(frames(server, "chat_4", since)) == 1


def test_refusal_says_what_to_do(server, pushing):
    error = refusal(pushing.push, "chat room", "Hello world!")
    assert (error.code, error.status) == ("invalid_identifier", 400)
    assert "' '" in error.detail
    assert refusal(pushing.push, "chat", "\0").code == "invalid_text"
    assert refusal(pushing.push, "chat", "x" * 65_537).code == "text_too_long"


def test_wrong_secret_is_refused_and_never_shown(client, server):
    error = refusal(client(f"http://{API_KEY}:s3cret@127.0.0.1:{server.port}", timeout=LONG).push, "chat", "text")
    assert (error.code, error.status) == ("not_authorized", 403)
    assert "s3cret" not in f"{error!r} {error}"


def test_clock_that_is_wrong_is_told(client, server, monkeypatch):
    pushing = client(f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}", timeout=LONG)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    error = refusal(pushing.push, "chat", "text")
    assert error.code == "not_authorized"
    assert "behind this server's clock" in error.detail


def test_body_of_eight_megabytes_is_refused_with_a_reason(pushing):
    # In JSON each of these characters has six bytes.
    error = refusal(pushing.batch, [Push("chat", "\x01" * 60_000)] * 30)
    assert (error.code, error.status) == ("body_too_large", 413)


def test_bearer_pushes_too(client, server):
    pushing = client(f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}?bearer=1", timeout=LONG)
    assert pushing.push("chat_5", "Hello world!").identifier == "chat_5"
    assert pushing.disconnect(listener="9f2c51d07ab34e19") == 0


def test_token_and_key_give_the_right(server, pushing):
    for right in (
        {"token": pushing.token("chat_6,room_*", 60, sub="user_7")},
        {"secureKey": pushing.secure_key("chat_6")},
    ):
        ready = server.poll({"groups": [{"identifiers": ["chat_6"], **right}]}).frames[0]
        assert ready["secret"] == ["chat_6"], right
    read = read_token(pushing.token(["chat_6", "room_*"], 60, sub="user_7"), [API_SECRET], time.time())
    assert (read.names, read.prefixes, read.subject) == ({"chat_6"}, ("room_",), "user_7")


def test_disconnect_ends_the_connections_of_a_visitor(server, pushing):
    subject = secrets.token_hex(8)
    token = pushing.token("chat_7", 60, sub=subject)
    with server.stream(f"identifiers=chat_7&token={token}") as stream:
        stream.joined()
        assert pushing.disconnect(subject=subject) == 1
        assert stream.next("error")["code"] == "not_authorized"


def test_server_that_comes_back_within_the_deadline_is_no_error(client, make_server):
    server = make_server()
    pushing = client(f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}", timeout=60)
    assert pushing.push("chat", "one").listeners == 0
    server.stop()
    comes_back = threading.Timer(0.3, server.start)
    comes_back.start()
    assert pushing.push("chat", "two").listeners == 0
    comes_back.join()


def test_stopped_server_has_pushed_nothing(client, make_server):
    server = make_server()
    pushing = client(f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}", timeout=1)
    pushing.push("chat", "one")
    server.stop()
    pushing.turn()
    assert refusal(pushing.push, "chat", "two").code == "unreachable"


def listed(pushing, prefix):
    async def collect():
        return [use async for use in pushing.client.identifiers(prefix)]

    uses = pushing.client.identifiers(prefix)
    return list(uses) if hasattr(uses, "__iter__") else pushing.wait(collect())


def test_identifiers_in_use_are_listed_over_all_pages(pushing):
    prefix = f"list_{secrets.token_hex(4)}_"
    names = [f"{prefix}{number:04}" for number in range(1050)]
    for first in range(0, 1050, 100):
        pushing.batch([Push(name, "kept") for name in names[first : first + 100]])
    uses = listed(pushing, prefix.upper())
    assert [use.identifier for use in uses] == names
    assert {(use.listeners, use.kept) for use in uses} == {(0, 1)}
    assert listed(pushing, f"{prefix}x") == []


def test_identifier_tells_its_listeners(server, pushing):
    key = pushing.secure_key("chat_8")
    with server.websocket(f"identifiers=chat_8&secureKey={key}") as one, server.stream("identifiers=chat_8") as two:
        one.joined()
        two.joined()
        details = pushing.identifier("Chat_8")
    assert (details.identifier, details.listeners, details.secret_listeners) == ("chat_8", 2, 1)
    assert details.transports == {"websocket": 1, "stream": 1, "events": 0, "poll": 0}
    assert refusal(pushing.identifier, "chat 8").code == "invalid_identifier"


def test_kept_pushes_are_listed_from_a_position(pushing):
    first = pushing.push("chat_9", "one")
    pushing.push("chat_9", "two", secret=True, push_id=2**63 - 1)
    pushing.push("chat_9", {"three": 3}, event="created")
    pushing.push("chat_9", data=None)
    kept = pushing.pushes("chat_9", after=first.position)
    two, three, four = kept.pushes
    assert (two.text, two.data, two.secret, two.push_id) == ("two", ABSENT, True, 2**63 - 1)
    assert (three.text, three.data, three.secret, three.event) == (None, {"three": 3}, False, "created")
    assert (four.text, four.data, four.push_id) == (None, None, None)
    assert (kept.gap, kept.next) == (False, None)
    assert len(pushing.pushes("chat_9").pushes) >= 4
    for wrong in ("1", 1.5, True):
        assert refusal(lambda wrong=wrong: pushing.pushes("chat_9", after=wrong)).code == "invalid_parameter"


def test_usage_tells_what_was_pushed_and_refused(server, pushing):
    before = pushing.usage()
    pushing.push("chat_10", "é" * 10)
    assert refusal(pushing.push, "chat 10", "x").code == "invalid_identifier"
    usage = pushing.usage()
    assert len(usage.days) == 31
    assert usage.days[0].begins.utcoffset() == timedelta(0)
    today, earlier = usage.days[0], before.days[0]
    if today.begins == earlier.begins:
        assert (today.pushes - earlier.pushes, today.push_bytes - earlier.push_bytes) == (1, 20)
        assert today.refused["invalid_identifier"] == earlier.refused.get("invalid_identifier", 0) + 1
    assert usage.days[1].begins == today.begins - timedelta(days=1)
    assert today.begins <= usage.hour.begins < today.begins + timedelta(days=1)


def test_account_token_reads_the_usage_and_pushes_nothing(server, pushing):
    headers = {"Authorization": f"Bearer {pushing.account_token(60)}", "Content-Type": "application/json"}
    for path, status in (("usage", 200), ("identifiers", 200), ("identifiers/chat/pushes", 403)):
        assert server.request("GET", f"/{API_KEY}/{path}", None, headers).status == status
    body = b'{"text":"x","secret":0}'
    assert server.request("POST", f"/{API_KEY}/push/chat", body, headers).status == 403
    assert pushing.usage().secrets == ["newest"]
    for seconds in (0, -1, 0.5):
        assert refusal(pushing.client.account_token, seconds).code == "invalid_parameter"
