"""Section 2: pushing."""

import json

import pytest

from cometify.core.account import Account
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    FORM,
    SECOND,
    START,
    by_query,
    code_of,
    fields,
    kinds,
    post,
    push_fields,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import form, md5hex, request_bytes, secure, secure_key

PATH = f"/{API_KEY}/push/chat"


def multipart(values: dict[str, str]) -> tuple[bytes, str]:
    parts = [
        f'--frontier\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in values.items()
    ]
    return ("".join(parts) + "--frontier--\r\n").encode(), "multipart/form-data; boundary=frontier"


def heard(world: World, query: str = "identifiers=chat"):
    wire = world.websocket(query)
    wire.frames()
    return wire


# The seed's three vectors.


def test_secure_is_made_as_in_the_seed():
    assert secure("visitors", "284 people", "1", "c1h89chHaka9s1") == "149f26540f697a97e886e2527466c6e8"


def test_the_seeds_secure_is_accepted():
    world = World(Account("1", ("c1h89chHaka9s1",)))
    body = form({"text": "284 people", "secret": "0", "secure": "149f26540f697a97e886e2527466c6e8"})
    assert post(world, "/1/push/visitors", body).status == 200


@pytest.mark.parametrize(
    ("key", "api_secret", "names", "expected"),
    [
        ("1", "c1h89chHaka9s1", "metrics,tweets", "d6d02dbf813a87619a1ab325878942b0"),
        ("37282591", "dj28DNam!!nx72*", "guestbook,comments,oneliner", "5b70b14ea396f689a1b9550ba66025bc"),
    ],
)
def test_the_seeds_secure_keys_are_accepted(key, api_secret, names, expected):
    world = World(Account(key, (api_secret,)))
    assert secure_key(*names.split(","), key=key, secret=api_secret) == expected
    ready, _heartbeat = world.websocket(f"identifiers={names}&secureKey={expected}", key=key).frames()
    assert ready["secret"] == names.split(",")
    assert ready["warnings"] == []


# Bodies.


def test_form_is_pushed(world):
    wire = heard(world)
    values = fields("chat", "Grüße & = + % ☃ 😀", push_id="7")
    assert post(world, PATH, form(values)).status == 200
    (frame,) = wire.frames()
    assert frame == {**frame, "type": "push", "identifier": "chat", "push_id": 7, "text": "Grüße & = + % ☃ 😀"}
    assert list(frame) == ["type", "identifier", "push_id", "text", "position"]


def test_multipart_form_is_pushed(world):
    wire = heard(world)
    text = "Grüße\r\n--front ☃"
    body, kind = multipart({"secret": "0", "text": text, "push_id": "7", "secure": secure("chat", text)})
    assert post(world, PATH, body, kind).status == 200
    (frame,) = wire.frames()
    assert (frame["text"], frame["push_id"]) == (text, 7)


@pytest.mark.parametrize("number", [str, int])
def test_json_is_pushed_with_numbers_as_numbers(world, number):
    wire = heard(world, f"identifiers=chat&secureKey={secure_key('chat')}")
    text = "Grüße ☃ 😀 \u2028 \x85"
    values = {"text": text, "secret": number(1), "push_id": number(7), "secure": secure("chat", text)}
    assert post(world, PATH, json.dumps(values).encode(), "application/json; charset=utf-8").status == 200
    (frame,) = wire.frames()
    assert (frame["text"], frame["push_id"]) == (text, 7)


def test_content_type_is_compared_without_case(world):
    assert (
        post(world, PATH, form(fields("chat", "x")), "Application/X-WWW-Form-URLencoded; charset=UTF-8").status == 200
    )


@pytest.mark.parametrize("scheme", ["http", "HTTP", "https"])
def test_absolute_form_target_works_like_the_origin_form(world, scheme):
    wire = heard(world)
    answer = post(world, f"{scheme}://cometify.org{PATH}", form(fields("chat", "x")))
    assert answer.status == 200
    assert texts(wire.frames()) == ["x"]


def test_body_of_512_kib_is_read(world):
    values = form(fields("chat", "x"))
    body = values + b"&padding=" + b"x" * (512 * 1024 - len(values) - 9)
    assert len(body) == 512 * 1024
    assert post(world, PATH, body).status == 200
    assert code_of(post(world, PATH, body + b"x")) == "body_too_large"


def test_too_large_body_is_refused_before_it_is_read(world):
    wire = world.connect()
    wire.receive(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {512 * 1024 + 1}\r\n\r\n".encode())
    assert (wire.head[0], code_of(wire.answer())) == (413, "body_too_large")


# Identifiers.


def test_identifiers_are_not_case_sensitive(world):
    wire = heard(world, "identifiers=CHAT")
    assert push_fields(world, "Chat", fields("cHAT", "x")).json["identifier"] == "chat"
    (frame,) = wire.frames()
    assert (frame["identifier"], frame["text"]) == ("chat", "x")


def test_signature_covers_the_path_without_a_parameter(world):
    values = fields("Chat", "x")
    del values["identifier"]
    assert push_fields(world, "Chat", values).status == 200
    assert code_of(push_fields(world, "chat", values)) == "not_authorized"


def test_signature_covers_the_parameter_as_sent(world):
    assert push_fields(world, "chat", fields("CHAT", "x")).status == 200
    assert code_of(push_fields(world, "chat", fields("CHAT", "x", identifier="chat"))) == "not_authorized"
    assert code_of(push_fields(world, "CHAT", fields("chat", "y", identifier="CHAT"))) == "not_authorized"


def test_identifier_other_than_in_the_path_is_refused(world):
    assert code_of(push_fields(world, "chat", fields("chat1", "x"))) == "identifier_mismatch"


@pytest.mark.parametrize("identifier", ["a", "Z9_", "x" * 60, "latest", "push"])
def test_identifiers_of_1_to_60_characters_are_accepted(world, identifier):
    assert push_fields(world, identifier, fields(identifier, "x")).status == 200


# Text.


def test_text_may_be_empty(world):
    wire = heard(world)
    assert push_fields(world, "chat", fields("chat", "")).status == 200
    assert texts(wire.frames()) == [""]


@pytest.mark.parametrize("character", ["x", "ü", "😀", "\x01"])
def test_text_has_at_most_65536_bytes_of_utf8(world, character):
    wire = heard(world)
    text = character * (65_536 // len(character.encode()))
    assert push_fields(world, "chat", fields("chat", text)).status == 200
    assert texts(wire.frames()) == [text]
    answer = push_fields(world, "chat", fields("chat", text + "x"))
    assert (answer.status, code_of(answer)) == (413, "text_too_long")


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\0b"])
def test_bad_text_is_refused_before_the_signature(world, bad):
    assert code_of(push_fields(world, "chat", fields("chat", "", text=bad))) == "invalid_text"


@pytest.mark.parametrize("bad", ['"a\\u0000b"', '"\\ud800"'])
def test_bad_text_in_json_is_refused_too(world, bad):
    body = b'{"text":%b,"secret":0,"secure":"wrong"}' % bad.encode()
    assert code_of(post(world, PATH, body, "application/json")) == "invalid_text"


# Parameters.


@pytest.mark.parametrize("name", ["text", "secret", "secure"])
def test_refusal_names_the_missing_parameter(world, name):
    values = fields("chat", "x")
    del values[name]
    answer = push_fields(world, "chat", values)
    assert (answer.status, code_of(answer)) == (400, "missing_parameter")
    assert name in answer.json["detail"]


@pytest.mark.parametrize("name", ["identifier", "text", "secret", "push_id", "secure"])
def test_repeated_parameter_is_refused(world, name):
    body = form(fields("chat", "x", push_id="1"))
    again = form({name: fields("chat", "x", push_id="1")[name]})
    answer = post(world, PATH, body + b"&" + again)
    assert (answer.status, code_of(answer)) == (400, "repeated_parameter")


def test_repeated_part_is_refused(world):
    body, kind = multipart({"text": "x", "secret": "0", "secure": secure("chat", "x")})
    again, _kind = multipart({"secret": "0"})
    assert code_of(post(world, PATH, body.removesuffix(b"--frontier--\r\n") + again, kind)) == "repeated_parameter"


def test_name_repeated_in_json_is_refused(world):
    body = json.dumps(fields("chat", "x"))[:-1] + ', "secret": "1"}'
    assert code_of(post(world, PATH, body.encode(), "application/json")) == "repeated_parameter"


@pytest.mark.parametrize("value", ["2", "-1", "", "true", "00", " 0", "0 ", "0\n", "\u0660"])
def test_secret_is_0_or_1(world, value):
    answer = push_fields(world, "chat", fields("chat", "x", secret=value))
    assert code_of(answer) == "invalid_parameter"
    assert "secret" in answer.json["detail"]


@pytest.mark.parametrize("value", [True, False, 2, 1.0, [], {}, "yes"])
def test_secret_in_json_is_0_or_1(world, value):
    body = json.dumps({**fields("chat", "x"), "secret": value}).encode()
    assert code_of(post(world, PATH, body, "application/json")) == "invalid_parameter"


@pytest.mark.parametrize("number", [0, 1, 2**53 - 1])
def test_push_id_below_2_to_the_53_is_a_number(world, number):
    wire = heard(world)
    assert push_fields(world, "chat", fields("chat", "x", push_id=str(number))).json["push_id"] == number
    assert wire.frames()[0]["push_id"] == number


@pytest.mark.parametrize("number", [2**53, 2**63 - 1])
def test_higher_push_id_is_a_decimal_string(world, number):
    wire = heard(world)
    assert push_fields(world, "chat", fields("chat", "x", push_id=str(number))).json["push_id"] == str(number)
    assert wire.frames()[0]["push_id"] == str(number)


@pytest.mark.parametrize("value", [str(2**63), "-1", "", "7.0", "1e3", "+7", " 7", "0x7", "\u0667", "null"])
def test_push_id_is_an_integer_from_0_to_2_to_the_63(world, value):
    answer = push_fields(world, "chat", fields("chat", "x", push_id=value))
    assert (answer.status, code_of(answer)) == (400, "invalid_parameter")
    assert "push_id" in answer.json["detail"]


@pytest.mark.parametrize("value", [2**53, 2**63, -1, 7.5, True, [7], {"7": 7}])
def test_push_id_in_json_follows_the_same_rules(world, value):
    body = json.dumps({**fields("chat", "x"), "push_id": value}).encode()
    assert code_of(post(world, PATH, body, "application/json")) == "invalid_parameter"


# The signature.


def test_wrong_secure_and_unknown_key_get_the_same_answer(world):
    wrong = push_fields(world, "chat", fields("chat", "x", secure=secure("chat", "y")))
    unknown = post(world, "/99/push/chat", form(fields("chat", "x", secure=secure("chat", "x", "99"))))
    assert wrong.status == unknown.status == 403
    assert wrong.body == unknown.body
    assert code_of(wrong) == "not_authorized"


def test_signature_for_another_push_is_refused(world):
    for wrong in (secure("chat", "x", "1"), secure("chat", "x", secret="other"), "", "0" * 32, "z" * 32, "é"):
        assert code_of(push_fields(world, "chat", fields("chat", "x", secure=wrong))) == "not_authorized"


def test_both_secrets_are_live_while_one_is_being_replaced():
    world = World(Account(API_KEY, ("new", "old")))
    for secret in ("new", "old"):
        assert push_fields(world, "chat", fields("chat", "x", secure=secure("chat", "x", secret=secret))).status == 200
        ready, *_ = world.websocket(f"identifiers=chat&secureKey={secure_key('chat', secret=secret)}").frames()
        assert ready["secret"] == ["chat"]


# The answer.


def test_answer_tells_identifier_id_position_and_listeners(world):
    answer = push_fields(world, "chat", fields("Chat", "x", push_id="7"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"identifier": "chat", "push_id": 7, "position": world.clock(), "listeners": 0}
    assert push_fields(world, "chat", fields("chat", "y")).json["push_id"] is None


def test_pushing_carries_no_cors_headers(world):
    for answer in (push_fields(world, "chat", fields("chat", "x")), push_fields(world, "chat", {})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_listeners_counts_whom_the_push_may_reach(world):
    key = secure_key("chat")
    world.websocket("identifiers=chat")
    world.stream("identifiers=chat,metrics")
    world.websocket(f"identifiers=chat&secureKey={key}")
    world.websocket("identifiers=chat:5")
    world.websocket("identifiers=metrics")
    poll = world.poll(f"identifiers=chat&position={world.clock()}")
    assert not poll.answered
    assert world.push("chat", "one", push_id=6).json["listeners"] == 5
    assert poll.answered
    assert world.push("chat", "two", push_id=5).json["listeners"] == 3
    assert world.push("chat", "three").json["listeners"] == 4
    assert world.push("chat", "four", secret=1).json["listeners"] == 1
    assert world.push("metrics", "five").json["listeners"] == 2
    assert world.push("nobody", "six").json["listeners"] == 0


def test_listener_in_several_groups_counts_once(world):
    wire = world.websocket()
    wire.listen({"identifiers": {"chat": 100}, "secureKey": secure_key("chat")}, {"identifiers": ["chat"]})
    assert world.push("chat", "a", push_id=50).json["listeners"] == 1
    assert world.push("chat", "b", secret=1, push_id=50).json["listeners"] == 0
    assert world.push("chat", "c", secret=1, push_id=101).json["listeners"] == 1
    assert texts(wire.frames()) == ["a", "c"]


def test_listener_that_is_gone_does_not_count(world):
    wire = world.websocket("identifiers=chat")
    wire.lose()
    assert world.push("chat", "x").json["listeners"] == 0


# Positions.


def test_positions_follow_the_engine_clock_and_strictly_grow(world):
    first = world.pushed("chat", "a")
    assert first == world.clock() == START + 3600 * SECOND
    assert world.pushed("metrics", "b") == first + 1
    assert world.pushed("chat", "c") == first + 2
    world.advance(1)
    assert world.pushed("chat", "d") == first + SECOND


def test_positions_grow_even_if_the_clock_does_not(world):
    first = world.pushed("chat", "a")
    world.skew = -100 * SECOND
    assert world.pushed("chat", "b") == first + 1
    assert world.pushed("metrics", "c") == first + 2


# The boundary trap.


def test_one_signature_is_accepted_for_one_identifier(world):
    signature = secure("visitors", "284 people")
    assert push_fields(world, "visitors", fields("visitors", "284 people")).status == 200
    answer = push_fields(world, "visitor", fields("visitor", "s284 people"))
    assert secure("visitor", "s284 people") == signature
    assert (answer.status, code_of(answer)) == (403, "signature_reused")
    assert "HMAC" in answer.json["detail"]
    assert "case" in answer.json["detail"]


def test_same_push_may_come_again(world):
    assert world.push("chat", "x").status == world.push("chat", "x").status == 200
    assert push_fields(world, "CHAT", fields("chat", "x")).status == 200


def test_other_spelling_has_another_signature(world):
    assert world.push("room1", "10").status == 200
    assert world.push("room11", "0").status == 403
    assert world.push("Room11", "0").status == 200


def test_upper_case_hex_is_the_same_signature(world):
    assert push_fields(world, "room1", fields("room1", "10")).status == 200
    upper = secure("room11", "0").upper()
    assert push_fields(world, "room11", fields("room11", "0", secure=upper)).status == 403


def test_signature_is_remembered_for_ten_minutes(world):
    world.push("room1", "10")
    world.advance(599, step=20)
    assert world.push("room11", "0").status == 403
    world.advance(1)
    assert world.push("room11", "0").status == 200


def test_signature_of_a_refused_push_is_not_remembered(world):
    assert push_fields(world, "room1", fields("room1", "10", secret="2")).status == 400
    assert world.push("room11", "0").status == 200


def test_signature_memory_0_turns_it_off():
    world = World(Account(API_KEY, (API_SECRET,), signature_memory=0))
    assert world.push("room1", "10").status == world.push("room11", "0").status == 200


def test_signature_memory_bounds_the_memory():
    world = World(Account(API_KEY, (API_SECRET,), signature_memory=2))
    for text in ("10", "20", "30"):
        assert world.push("room1", text).status == 200
    assert [world.push("room11", text).status for text in ("0",)] == [200]
    assert [code_of(push_fields(world, "room", fields("room", "130")))] == ["signature_reused"]


def test_signatures_are_remembered_for_each_account():
    world = World(Account("1", ("s",)), Account("12", ("s",)))
    assert post(world, "/1/push/chat", form(fields("chat", "x", secure=secure("chat", "x", "1", "s")))).status == 200
    assert post(world, "/12/push/chats", form(fields("chats", "", secure=secure("chats", "", "12", "s")))).status == 200


def test_accounts_do_not_hear_each_other():
    world = World(Account("1", ("s",)), Account("2", ("s",)))
    wire = world.websocket("identifiers=chat", key="2")
    wire.frames()
    post(world, "/1/push/chat", form(fields("chat", "x", secure=secure("chat", "x", "1", "s"))))
    assert wire.frames() == []
    world.advance(25)
    assert kinds(wire.frames()) == ["heartbeat"]


# Publishers.


def test_publisher_that_closes_without_reading_has_pushed(world):
    wire = heard(world)
    publisher = world.connect()
    body = form(fields("chat", "x"))
    publisher.transport.protocol.dataReceived(
        request_bytes("POST", f"http://cometify.org{PATH}", body, {"Content-type": FORM, "Connection": "Close"})
    )
    publisher.lose()
    assert texts(wire.frames()) == ["x"]


def test_push_in_many_small_pieces_arrives(world):
    wire = heard(world)
    publisher = world.connect()
    for byte in request_bytes("POST", PATH, form(fields("chat", "x")), {"Content-Type": FORM}):
        publisher.transport.protocol.dataReceived(bytes([byte]))
    world.settle()
    assert publisher.answer().status == 200
    assert texts(wire.frames()) == ["x"]


def test_many_pushes_on_one_connection_arrive_in_order(world):
    wire = heard(world)
    publisher = world.connect()
    requests = [request_bytes("POST", PATH, form(fields("chat", str(n))), {"Content-Type": FORM}) for n in range(20)]
    publisher.receive(b"".join(requests))
    assert texts(wire.frames()) == [str(n) for n in range(20)]


def test_chunked_body_is_read(world):
    wire = heard(world)
    body = form(fields("chat", "x"))
    publisher = world.connect()
    publisher.receive(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    )
    assert publisher.answer().status == 200
    assert texts(wire.frames()) == ["x"]


def test_http_1_0_publishes_too(world):
    wire = heard(world)
    publisher = world.connect()
    publisher.receive(request_bytes("POST", PATH, form(fields("chat", "x")), {"Content-Type": FORM}, "HTTP/1.0"))
    assert publisher.head[0] == 200
    assert texts(wire.frames()) == ["x"]


def test_text_arrives_as_it_was_sent(world):
    wires = [by_query(world, transport, "identifiers=chat") for transport in ("websocket", "stream", "events")]
    for wire in wires:
        wire.frames()
    text = "".join(map(chr, [*range(1, 0x300), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0x1F600])) + '</script>\\"'
    world.pushed("chat", text)
    for wire in wires:
        assert texts(wire.frames()) == [text]


def test_md5_covers_the_utf8():
    assert secure("chat", "é") == md5hex(API_KEY + md5hex(API_SECRET) + "chaté")


@pytest.mark.parametrize("wrong", ["id", "pushId", "channel", "message", "msg", "Push_id"])
def test_misspelled_parameter_is_refused_in_every_body(world, wrong):
    wire = heard(world)
    values = fields("chat", "x") | {wrong: "7"}
    bodies = (
        (form(values), FORM),
        (form(values | {"text": "ü"}), FORM),
        multipart(values),
        (json.dumps(values).encode(), "application/json"),
    )
    for body, kind in bodies:
        answer = post(world, PATH, body, kind)
        assert (answer.status, code_of(answer)) == (400, "unknown_parameter")
        assert f"{wrong} is not a parameter" in answer.json["detail"]
    assert wire.frames() == []
    assert push_fields(world, "chat", fields("chat", "x") | {"more": "7"}).status == 200
