"""What makes a form a draft."""

import json
from urllib.parse import unquote_to_bytes, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.admission import admit, fields_from_json, fields_from_pairs, read_key
from cometify.core.identifier import Identifier
from cometify.core.integer import MAX_ID
from cometify.core.md5_signature import secure
from cometify.core.push import MAX_TEXT, Draft, bind
from cometify.core.strict_json import read_json
from tests.samples import JSON, refusal

KEY = "37282591"
SECRET = "dj28DNam!!nx72*"
ACCOUNT = Account(KEY, (SECRET,))
ROTATING = Account(KEY, ("new", SECRET))
OURS = ("identifier", "text", "secret", "push_id", "secure")


def signed(text="Hello", identifier="chat", **changes):
    """The fields of a good push, and what is changed in them; None leaves one out."""
    fields = {"text": text, "secret": "0", "secure": secure(KEY, SECRET, identifier, text), **changes}
    return {name: value for name, value in fields.items() if value is not None}


def refused_push(fields, path="chat", account=ACCOUNT, api_key=KEY):
    return refusal(admit, account, api_key, path, fields)


# Forms


def test_a_form_is_read_in_any_order_and_names_that_are_not_ours_are_passed_over():
    pairs = [(b"secure", b"x"), (b"more", b"\xff"), (b"more", b"2"), (b"text", "Grüße".encode()), (b"Text", b"no")]
    assert fields_from_pairs(pairs) == {"secure": "x", "text": "Grüße"}


@pytest.mark.parametrize("name", OURS)
def test_a_parameter_senttwice_is_refused_even_if_it_says_the_same(name):
    refused = refusal(fields_from_pairs, [(name.encode(), b"1"), (name.encode(), b"1")])
    assert refused.code is errors.REPEATED_PARAMETER
    assert name in refused.detail


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("value", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"abc\xe2\x82"])
def test_what_is_not_utf8_is_refused_by_the_name_of_the_parameter(name, value):
    refused = refusal(fields_from_pairs, [(name.encode(), value)])
    assert refused.code is (errors.INVALID_TEXT if name == "text" else errors.INVALID_PARAMETER)
    assert name in refused.detail


@given(st.lists(st.tuples(st.sampled_from([name.encode() for name in OURS]) | st.binary(max_size=8), st.binary())))
def test_any_form_is_a_push_or_refused(pairs):
    try:
        draft = admit(ACCOUNT, KEY, "chat", fields_from_pairs(pairs))
    except errors.Refused:
        return
    assert isinstance(draft, Draft)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_that_was_signed_comes_through_a_form_unchanged(text):
    body = urlencode(signed(text, push_id="7")).replace("+", " ")
    pairs = [tuple(map(unquote_to_bytes, pair.split("="))) for pair in body.split("&")]
    assert admit(ACCOUNT, KEY, "chat", fields_from_pairs(pairs)).text == text


# JSON


def test_json_is_an_object_of_the_parameters():
    assert fields_from_json(b'{"text":"Hello","secret":0,"more":[1]}') == {"text": "Hello", "secret": 0, "more": [1]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"{",
        b'{"text":}',
        b'{"text":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"push_id":NaN}',
        b'{"push_id":Infinity}',
        b'{"push_id":-Infinity}',
        b'{"text":"\n"}',
        b"{} {}",
        b"[" * 100000,
        b'{"a":' * 100000,
        b'{"push_id":' + b"9" * 10000 + b"}",
    ],
    ids=lambda body: ascii(body[:20]),
)
def test_what_is_no_json_object_is_an_invalid_body(body):
    assert refusal(fields_from_json, body).code is errors.INVALID_BODY


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"secret":0,"text":"a","text":"a"}', '"text"'),
        (b'{"more":{"a":1,"a":2}}', '"a"'),
        (b'{"text":1,"te\\u0078t":1}', '"text"'),
        (b'{"\\ud800":1,"\\ud800":1}', "A name"),
        (b'{"%b":1,"%b":1}' % (b"x" * 99, b"x" * 99), f'"{"x" * 60}"'),
    ],
)
def test_a_name_that_stands_twice_is_refused(body, name):
    refused = refusal(fields_from_json, body)
    assert refused.code is errors.REPEATED_PARAMETER
    assert refused.detail == f"{name} stands twice in one JSON object: send it once."
    assert refusal(read_json, body, errors.INVALID_PARAMETER).code is errors.INVALID_PARAMETER


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@example(b'{"text":"\\ud800","secret":0,"secure":"\\udfff"}')
def test_any_body_is_a_push_or_refused(body):
    try:
        draft = admit(ACCOUNT, KEY, "chat", fields_from_json(body))
    except errors.Refused:
        return
    assert isinstance(draft, Draft)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(OURS, JSON | st.sampled_from(["chat", "0", "1", 0, 1, "7"]))))
def test_any_json_values_are_a_push_or_refused(fields):
    body = json.dumps(signed() | fields).encode()
    try:
        draft = admit(ACCOUNT, KEY, "chat", fields_from_json(body))
    except errors.Refused as refused:
        assert refused.detail.encode()  # noqa: PT017
        return
    assert isinstance(draft, Draft)


@given(JSON)
def test_json_is_read_as_it_was_written(value):
    try:
        written = json.dumps(value, allow_nan=False)
    except ValueError:
        body = json.dumps(value).encode()
        assert refusal(read_json, body, errors.REPEATED_PARAMETER).code is errors.INVALID_BODY
    else:
        assert read_json(written.encode(), errors.REPEATED_PARAMETER) == value


# What is admitted


def test_a_good_push_is_a_draft():
    draft = admit(ACCOUNT, KEY, "chat", signed(push_id="7", secret="1"))
    digest = bytes.fromhex(secure(KEY, SECRET, "chat", "Hello"))
    assert draft == Draft(Identifier("chat", "chat"), "Hello", secret=True, push_id=7, signature=digest)


@pytest.mark.parametrize(("secret", "is_secret"), [("0", False), ("1", True), (0, False), (1, True)])
def test_secret_is_zero_or_one_as_a_digit_or_a_number(secret, is_secret):
    assert admit(ACCOUNT, KEY, "chat", signed(secret=secret)).secret is is_secret


@pytest.mark.parametrize(
    "secret", ["", "2", "00", "01", " 1", "1\n", "true", True, False, 2, -1, 0.0, 1.0, [], {}, [1]]
)
def test_any_other_secret_is_refused(secret):
    refused = refused_push(signed(secret=secret))
    assert refused.code is errors.INVALID_PARAMETER
    assert "secret" in refused.detail


@pytest.mark.parametrize("name", ["text", "secret", "secure"])
@pytest.mark.parametrize("how", ["left out", "null"])
def test_a_required_parameter_is_never_made_up(name, how):
    fields = signed()
    del fields[name]
    refused = refused_push(fields if how == "left out" else {**fields, name: None})
    assert refused.code is errors.MISSING_PARAMETER
    assert refused.detail.startswith(f"{name} is missing")


@pytest.mark.parametrize(("push_id", "number"), [(None, None), ("0", 0), (0, 0), (str(MAX_ID), MAX_ID)])
def test_push_id_may_be_left_out(push_id, number):
    assert admit(ACCOUNT, KEY, "chat", signed() | {"push_id": push_id}).push_id == number
    assert admit(ACCOUNT, KEY, "chat", signed(push_id=push_id)).push_id == number


@pytest.mark.parametrize("push_id", ["", "x", "-1", str(MAX_ID + 1), 1.0, True, []])
def test_a_push_id_in_no_form_is_refused(push_id):
    refused = refused_push(signed(push_id=push_id))
    assert refused.code is errors.INVALID_PARAMETER
    assert "push_id" in refused.detail


def test_the_text_may_be_empty():
    assert not admit(ACCOUNT, KEY, "chat", signed("")).text


@pytest.mark.parametrize("text", ["a" * MAX_TEXT, "ü" * (MAX_TEXT // 2), "😀" * (MAX_TEXT // 4)])
def test_the_text_is_measured_in_bytes_of_utf8(text):
    assert admit(ACCOUNT, KEY, "chat", signed(text)).text == text
    refused = refused_push(signed(text + "a"))
    assert refused.code is errors.TEXT_TOO_LONG
    assert str(MAX_TEXT + 1) in refused.detail


@pytest.mark.parametrize("text", [1, True, [], {}, 1.5])
def test_a_text_that_is_no_string_is_refused(text):
    assert refused_push(signed() | {"text": text}).code is errors.INVALID_PARAMETER


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "\udfff\ud800"])
def test_a_text_with_nul_or_a_lone_surrogate_is_refused_before_the_signature_is_looked_at(text):
    assert refused_push(signed() | {"text": text, "secure": "wrong"}).code is errors.INVALID_TEXT


def test_a_signature_that_is_no_string_is_refused():
    refused = refused_push(signed(secure=1))
    assert refused.code is errors.INVALID_PARAMETER
    assert "secure" in refused.detail


def test_the_path_stands_for_an_identifier_that_is_left_out():
    assert admit(ACCOUNT, KEY, "Chat", signed(identifier="Chat")).identifier.spelled == "Chat"
    fields = signed(identifier="Chat")
    assert refused_push(fields, path="chat").code is errors.NOT_AUTHORIZED


def test_the_signature_is_over_the_parameter_as_sent_and_the_path_is_compared_without_case():
    fields = signed(identifier="cHaT") | {"identifier": "cHaT"}
    assert admit(ACCOUNT, KEY, "CHAT", fields).identifier.spelled == "cHaT"


def test_path_and_parameter_that_name_two_identifiers_are_refused():
    refused = refused_push(signed() | {"identifier": "chat"}, path="other")
    assert refused.code is errors.IDENTIFIER_MISMATCH
    assert "chat" in refused.detail
    assert "other" in refused.detail


@pytest.mark.parametrize(("path", "parameter"), [("9", "chat"), ("chat", "9"), ("chat", None), ("chat\n", "chat")])
def test_no_identifier_is_pushed_to_nowhere(path, parameter):
    assert refused_push(signed() | {"identifier": parameter}, path=path).code is errors.INVALID_IDENTIFIER


def test_either_live_secret_signs():
    for secret in ROTATING.api_secrets:
        fields = signed(secure=secure(KEY, secret, "chat", "Hello"))
        assert admit(ROTATING, KEY, "chat", fields).signature == bytes.fromhex(fields["secure"])


def test_a_signature_in_capitals_is_remembered_as_the_same():
    fields = signed()
    capitals = fields | {"secure": fields["secure"].upper()}
    assert admit(ACCOUNT, KEY, "chat", capitals) == admit(ACCOUNT, KEY, "chat", fields)


@pytest.mark.parametrize("sent", ["", "0" * 32, "x", "\ud800", "ü" * 32, secure(KEY, "old", "chat", "Hello")])
def test_a_wrong_signature_and_an_unknown_key_get_one_answer(sent):
    wrong = refused_push(signed(secure=sent))
    unknown = refused_push(signed(secure=sent), account=None)
    assert wrong.code is unknown.code is errors.NOT_AUTHORIZED
    assert wrong.detail == unknown.detail


def test_nobody_signs_for_an_account_that_does_not_exist():
    for secret in ("", SECRET, "nobody's secret", "nobody's other secret"):
        for key in ("", KEY):
            fields = signed(secure=secure(key, secret, "chat", "Hello"))
            assert refused_push(fields, account=None, api_key=key).code is errors.NOT_AUTHORIZED


def test_the_checks_have_an_order():
    wrong = {"identifier": "other", "text": "\0", "secret": "2", "push_id": "x", "secure": 1}
    mended = [
        ("identifier", "chat", errors.IDENTIFIER_MISMATCH, ""),
        ("text", "Hello", errors.INVALID_TEXT, "text"),
        ("secret", "0", errors.INVALID_PARAMETER, "secret"),
        ("push_id", "7", errors.INVALID_PARAMETER, "push_id"),
        ("secure", "no", errors.INVALID_PARAMETER, "secure"),
        ("secure", secure(KEY, SECRET, "chat", "Hello"), errors.NOT_AUTHORIZED, ""),
    ]
    for name, good, code, word in mended:
        refused = refused_push(wrong)
        assert refused.code is code
        assert refused.detail.startswith(word)
        wrong[name] = good
    assert admit(ACCOUNT, KEY, "chat", wrong).push_id == 7


def test_an_account_does_not_show_its_secrets():
    assert SECRET not in repr(ACCOUNT)


# The Idempotency-Key.


@pytest.mark.parametrize("key", ["k", "~" * 128, 'with spaces and "quotes"'])
def test_a_key_is_1_to_128_printable_characters(key):
    assert read_key(key) == key


@pytest.mark.parametrize("key", ["", "k" * 129, "\xe9", "\t", "k\n", "\x7f", "\u2028"])
def test_no_other_is_taken(key):
    with pytest.raises(errors.Refused) as refused:
        read_key(key)
    assert refused.value.code is errors.INVALID_PARAMETER
    assert "Idempotency-Key" in refused.value.detail


def test_a_push_without_a_key_has_none():
    assert read_key(None) is None


def draft(identifier="chat", text="Hello", *, secret=False, push_id=None, **more):
    return Draft(Identifier.read(identifier), text, secret, push_id, None, **more)


def test_the_same_push_has_the_same_fingerprint_whatever_it_is_signed_with():
    first = draft("Chat", push_id=7, key="one", listeners=3)
    again = draft("cHAT", push_id=7, key="two", listeners=5)
    again.signature = b"another"
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint == draft("chat", push_id=7).fingerprint


def test_what_differs_in_anything_that_is_heard_has_another():
    made = [
        draft(),
        draft("chats"),
        draft(text="hello"),
        draft(text=""),
        draft(secret=True),
        draft(push_id=0),
        draft(push_id=1),
        draft(push_id=10),
        draft(text="0 Hello"),
        draft(text="é"),
    ]
    assert len({one.fingerprint for one in made}) == len(made)


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=3), min_size=2, max_size=2))
def test_the_first_of_a_batch_has_the_fingerprint_of_this_batch_alone(batches):
    drafts = [[draft(text=text) for text in texts] for texts in batches]
    alone = drafts[0][0].fingerprint
    for one in drafts:
        bind(one)
    first, other = (one[0].fingerprint for one in drafts)
    assert (first == other) == (batches[0] == batches[1])
    assert alone not in {first, other}
