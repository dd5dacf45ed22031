"""Admission: which parameters become a draft, which are refused, and in which order they are checked."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.admission import admit, checked_already
from cometify.core.batch_admission import admit_batch
from cometify.core.identifier import Identifier
from cometify.core.integer import MAX_ID
from cometify.core.md5_signature import secure, verify_secure
from cometify.core.push import MAX_TEXT, Draft, bind
from cometify.core.strict_json import SentValue
from tests.samples import JSON, refusal

KEY = "37282591"
SECRET = "dj28DNam!!nx72*"
ACCOUNT = Account(KEY, (SECRET,))
BATCHED = {"identifier": "chat", "text": "x", "secret": 0}
ROTATING = Account(KEY, ("new", SECRET))
NAMES = ("identifier", "text", "secret", "push_id", "secure", "data", "event", "except")


def signed(text="Hello", identifier="chat", **changes):
    """The parameters of a good push with some changes; None leaves one out."""
    fields = {"text": text, "secret": "0", "secure": secure(KEY, SECRET, identifier, text), **changes}
    return {name: value for name, value in fields.items() if value is not None}


def admitted(fields, path="chat", account=ACCOUNT, api_key=KEY):
    """Admit a push that is signed with `secure`."""
    return admit(fields, path, partial(verify_secure, account, api_key))


def refused_push(fields, path="chat", account=ACCOUNT, api_key=KEY):
    return refusal(admitted, fields, path, account, api_key)


def with_data(text, /, **more):
    """The parameters of a push with `data`, as they are read from a JSON body."""
    document = f'{{"data":{text}}}'
    return {"secret": 0, "data": SentValue(json.loads(text), document, "data"), **more}


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON | st.sampled_from(["chat", "0", "1", 0, 1, "7"]))))
def test_any_json_values_are_a_push_or_refused(fields):
    try:
        draft = admitted(signed() | fields)
    except errors.Refused as refused:
        assert refused.detail.encode()  # noqa: PT017
        return
    assert isinstance(draft, Draft)


# Names.


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("id", "push_id"),
        ("pushId", "push_id"),
        ("PUSHID", "push_id"),
        ("Push_ID", "push_id"),
        ("channel", "identifier"),
        ("Identifier", "identifier"),
        ("message", "text"),
        ("Msg", "text"),
        ("TEXT", "text"),
        ("Secret", "secret"),
        ("SECURE", "secure"),
    ],
)
def test_misspelled_parameter_is_refused_with_the_right_name(wrong, right):
    for fields in (signed() | {wrong: "1"}, {wrong: None}, {"secret": "0", wrong: "Hello"}):
        refused = refused_push(fields)
        assert refused.code is errors.UNKNOWN_PARAMETER
        assert refused.detail == f"{wrong} is not a parameter of a push: write {right} instead."
    refused = refusal(admit_batch, [BATCHED, BATCHED | {wrong: 1}], checked_already, ACCOUNT)
    assert refused.code is errors.UNKNOWN_PARAMETER
    assert refused.detail.startswith(f"Push 2 of the batch, nothing was pushed: {wrong} is not")


@pytest.mark.parametrize("name", ["", "apiKey", "ids", "push id", "x" * 70_000, "user_id", "\xff"])
def test_other_unknown_parameters_are_ignored(name):
    assert admitted(signed() | {name: "1"}) == admitted(signed())


def test_names_of_a_stranger_are_looked_up_up_to_64():
    many = {f"n{number}": 1 for number in range(100_000)}
    assert admitted(signed() | many | {"id": 1}) == admitted(signed())
    assert refused_push({"id": 1} | many).code is errors.UNKNOWN_PARAMETER


# One push.


def test_good_push_becomes_a_draft():
    draft = admitted(signed(push_id="7", secret="1"))
    digest = bytes.fromhex(secure(KEY, SECRET, "chat", "Hello"))
    assert draft == Draft(Identifier("chat", "chat"), "Hello", secret=True, push_id=7, signature=digest)


@pytest.mark.parametrize(("secret", "is_secret"), [("0", False), ("1", True), (0, False), (1, True)])
def test_secret_is_0_or_1_as_a_digit_or_a_number(secret, is_secret):
    assert admitted(signed(secret=secret)).secret is is_secret


@pytest.mark.parametrize(
    "secret", ["", "2", "00", "01", " 1", "1\n", "true", True, False, 2, -1, 0.0, 1.0, [], {}, [1]]
)
def test_any_other_secret_is_refused(secret):
    refused = refused_push(signed(secret=secret))
    assert refused.code is errors.INVALID_PARAMETER
    assert "secret" in refused.detail


@pytest.mark.parametrize("name", ["text", "secret", "secure"])
@pytest.mark.parametrize("how", ["left out", "null"])
def test_required_parameter_has_no_default(name, how):
    fields = signed()
    del fields[name]
    refused = refused_push(fields if how == "left out" else {**fields, name: None})
    assert refused.code is errors.MISSING_PARAMETER
    assert refused.detail.startswith(f"{name} is missing")


@pytest.mark.parametrize(("push_id", "number"), [(None, None), ("0", 0), (0, 0), (str(MAX_ID), MAX_ID)])
def test_push_id_may_be_left_out(push_id, number):
    assert admitted(signed() | {"push_id": push_id}).push_id == number
    assert admitted(signed(push_id=push_id)).push_id == number


@pytest.mark.parametrize("push_id", ["", "x", "-1", str(MAX_ID + 1), 1.0, True, []])
def test_malformed_push_id_is_refused(push_id):
    refused = refused_push(signed(push_id=push_id))
    assert refused.code is errors.INVALID_PARAMETER
    assert "push_id" in refused.detail


def test_text_may_be_empty():
    assert not admitted(signed("")).text


@pytest.mark.parametrize("text", ["a" * MAX_TEXT, "ü" * (MAX_TEXT // 2), "😀" * (MAX_TEXT // 4)])
def test_text_is_measured_in_bytes_of_utf8(text):
    assert admitted(signed(text)).text == text
    refused = refused_push(signed(text + "a"))
    assert refused.code is errors.TEXT_TOO_LONG
    assert str(MAX_TEXT + 1) in refused.detail


@pytest.mark.parametrize("text", [1, True, [], {}, 1.5])
def test_text_must_be_a_string(text):
    assert refused_push(signed() | {"text": text}).code is errors.INVALID_PARAMETER


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "\udfff\ud800"])
def test_bad_text_is_refused_before_the_signature(text):
    assert refused_push(signed() | {"text": text, "secure": "wrong"}).code is errors.INVALID_TEXT


def test_secure_must_be_a_string():
    refused = refused_push(signed(secure=1))
    assert refused.code is errors.INVALID_PARAMETER
    assert "secure" in refused.detail


def test_path_stands_in_for_a_missing_identifier():
    assert admitted(signed(identifier="Chat"), "Chat").identifier.spelled == "Chat"
    fields = signed(identifier="Chat")
    assert refused_push(fields, path="chat").code is errors.NOT_AUTHORIZED


def test_signature_covers_the_spelling_of_the_parameter():
    fields = signed(identifier="cHaT") | {"identifier": "cHaT"}
    assert admitted(fields, "CHAT").identifier.spelled == "cHaT"


def test_path_and_parameter_must_name_one_identifier():
    refused = refused_push(signed() | {"identifier": "chat"}, path="other")
    assert refused.code is errors.IDENTIFIER_MISMATCH
    assert "chat" in refused.detail
    assert "other" in refused.detail


@pytest.mark.parametrize(("path", "named"), [("ch-at", "chat"), ("chat", "ch-at"), ("chat", "x" * 61)])
def test_mismatch_names_the_identifier_that_most_cannot_have(path, named):
    refused = refused_push(signed() | {"identifier": named}, path)
    assert refused.code is errors.INVALID_IDENTIFIER
    assert f"names {named}" in refused.detail
    assert f"names {path}" in refused.detail
    assert f"{max(path, named, key=lambda name: name != 'chat')} is an identifier only" in refused.detail


def test_two_extended_identifiers_that_differ_are_a_mismatch():
    assert refused_push(signed() | {"identifier": "ch.at"}, "ch-at").code is errors.IDENTIFIER_MISMATCH


@pytest.mark.parametrize(("path", "parameter"), [("9", "chat"), ("chat", "9"), ("chat", None), ("chat\n", "chat")])
def test_invalid_identifier_is_refused(path, parameter):
    assert refused_push(signed() | {"identifier": parameter}, path=path).code is errors.INVALID_IDENTIFIER


def test_either_live_secret_signs_a_push():
    for secret in ROTATING.api_secrets:
        fields = signed(secure=secure(KEY, secret, "chat", "Hello"))
        assert admitted(fields, account=ROTATING).signature == bytes.fromhex(fields["secure"])


def test_signature_in_capitals_is_the_same_signature():
    fields = signed()
    capitals = fields | {"secure": fields["secure"].upper()}
    assert admitted(capitals) == admitted(fields)


@pytest.mark.parametrize("sent", ["", "0" * 32, "x", "\ud800", "ü" * 32, secure(KEY, "old", "chat", "Hello")])
def test_wrong_signature_and_unknown_key_get_one_answer(sent):
    wrong = refused_push(signed(secure=sent))
    unknown = refused_push(signed(secure=sent), account=None)
    assert wrong.code is unknown.code is errors.NOT_AUTHORIZED
    assert wrong.detail == unknown.detail


def test_nobody_can_sign_for_an_unknown_account():
    for secret in ("", SECRET, "nobody's secret", "nobody's other secret"):
        for key in ("", KEY):
            fields = signed(secure=secure(key, secret, "chat", "Hello"))
            assert refused_push(fields, account=None, api_key=key).code is errors.NOT_AUTHORIZED


def test_checks_are_made_in_the_order_of_the_contract():
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
    assert admitted(wrong).push_id == 7


def test_repr_of_an_account_hides_its_secrets():
    assert SECRET not in repr(ACCOUNT)


# The Idempotency-Key.


@pytest.mark.parametrize("key", ["k", "~" * 128, 'with spaces and "quotes"'])
def test_idempotency_key_is_1_to_128_printable_characters(key):
    assert admit(signed(), "chat", checked_already, key).key == key
    assert [draft.key for draft in admit_batch([BATCHED, BATCHED], checked_already, ACCOUNT, key)] == [
        key,
        f"{key}\n1",
    ]
    assert admit_batch([], checked_already, ACCOUNT, key) == []


def test_single_push_never_has_the_fingerprint_of_a_batch():
    (draft,) = admit_batch([BATCHED], checked_already, ACCOUNT, "k")
    # A hash that begins with a letter is the beginning of an extended identifier.
    draft.batch = f"a{draft.batch[1:]}"
    named = {**BATCHED, "identifier": draft.batch.strip() + BATCHED["identifier"]}
    assert draft.fingerprint != admit(named, None, checked_already, "k").fingerprint


@pytest.mark.parametrize("key", ["", "k" * 129, "\xe9", "\t", "k\n", "\x7f", "\u2028"])
def test_other_idempotency_keys_are_refused(key):
    for refused in (
        refusal(admit, signed(), "chat", checked_already, key),
        refusal(admit_batch, [BATCHED], checked_already, ACCOUNT, key),
        refusal(admit_batch, [], checked_already, ACCOUNT, key),
    ):
        assert refused.code is errors.INVALID_PARAMETER
        assert "Idempotency-Key" in refused.detail


def test_idempotency_key_is_checked_after_the_sender():
    def refuse(_draft, _parameters):
        raise errors.Refused(errors.NOT_AUTHORIZED, "a stranger")

    assert refusal(admit, signed(), "chat", refuse, "").code is errors.NOT_AUTHORIZED
    assert refusal(admit_batch, [BATCHED], refuse, ACCOUNT, "").code is errors.NOT_AUTHORIZED


def draft(identifier="chat", text="Hello", *, secret=False, push_id=None, **more):
    return Draft(Identifier.read(identifier), text, secret, push_id, None, **more)


def test_fingerprint_ignores_signature_key_and_case():
    first = draft("Chat", push_id=7, key="one", listeners=3)
    again = draft("cHAT", push_id=7, key="two", listeners=5)
    again.signature = b"another"
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint == draft("chat", push_id=7).fingerprint


def test_fingerprint_covers_all_that_listeners_get():
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
        draft(event="a"),
        draft(event="A"),
        draft(event="a", text="a"),
        draft(event="aa", text=""),
        draft(excluded="a"),
        draft(excluded="aHello", text=""),
        draft(event="a", excluded="a"),
        draft("chat", text="", data='"Hello"'),
        draft("chat", text="", data='"Hello"', event="a"),
    ]
    assert len({one.fingerprint for one in made}) == len(made)


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=3), min_size=2, max_size=2))
def test_fingerprint_of_the_first_push_covers_its_batch(batches):
    drafts = [[draft(text=text) for text in texts] for texts in batches]
    alone = drafts[0][0].fingerprint
    for one in drafts:
        bind(one, "key")
    first, other = (one[0].fingerprint for one in drafts)
    assert (first == other) == (batches[0] == batches[1])
    assert alone not in {first, other}


# A JSON value instead of a text.


def test_data_is_taken_instead_of_a_text():
    draft = admit(with_data("[1.0, 2]"), "chat", checked_already)
    assert draft == Draft(
        Identifier("chat", "chat"), "", secret=False, push_id=None, signature=None, data="[1.0,2]", uncovered="data"
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"secret": 0, "data": "[1]"}, "application/json"),
        (with_data("1", text=""), "both text and data"),
        (with_data("1", secret=None), "secret"),
    ],
)
def test_data_in_a_form_or_beside_text_is_refused(fields, told):
    refused = refusal(admit, fields, "chat", checked_already)
    assert refused.code in (errors.INVALID_PARAMETER, errors.MISSING_PARAMETER)
    assert told in refused.detail


def test_secure_is_refused_for_data_before_the_value_is_read():
    refused = refused_push(with_data('"\\ud800"', secure=secure(KEY, SECRET, "chat", "")))
    assert refused.code is errors.INVALID_PARAMETER
    assert refused.detail.startswith("secure does not cover data: ")


def test_fingerprint_tells_data_from_every_text():
    made = [admit(with_data(text), "chat", checked_already) for text in ("1", "2", '"1"', "[1]")]
    made += [Draft(Identifier.read("chat"), text, False, None, None) for text in ("", "1", "2", '"1"', "[1]")]
    assert len({draft.fingerprint for draft in made}) == len(made)
    assert admit(with_data("[ 1 ]"), "CHAT", checked_already).fingerprint == made[3].fingerprint


@pytest.mark.parametrize(("event", "kept"), [("Created", "Created"), (None, None)])
def test_event_is_taken_and_null_is_none(event, kept):
    assert admit({"text": "x", "secret": 0, "event": event}, "chat", checked_already).event == kept


def test_secure_is_refused_for_an_event():
    refused = refused_push(signed(event="created"))
    assert refused.code is errors.INVALID_PARAMETER
    assert refused.detail.startswith("secure does not cover event: ")


@pytest.mark.parametrize("listener", ["01234567", None])
def test_except_is_taken_and_null_is_none(listener):
    fields = {"text": "x", "secret": 0, "except": listener}
    assert admit(fields, "chat", checked_already).excluded == listener


@pytest.mark.parametrize("listener", ["0123456", "x" * 65, "0123456 ", 12345678, ["01234567"], True, ""])
def test_except_that_is_no_listener_id_is_refused(listener):
    refused = refusal(admit, {"text": "x", "secret": 0, "except": listener}, "chat", checked_already)
    assert refused.code is errors.INVALID_PARAMETER
    assert refused.detail.startswith("except must be 8 to 64 of ")


def test_secure_is_refused_for_except():
    refused = refused_push(signed(**{"except": "01234567"}))
    assert refused.code is errors.INVALID_PARAMETER
    assert refused.detail.startswith("secure does not cover except: ")
