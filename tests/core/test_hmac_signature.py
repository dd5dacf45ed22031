"""Requests signed with HMAC: what is checked, in which order, and what a batch becomes."""

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.admission import MAX_BATCH, admit, admit_batch, admit_sealed
from cometify.core.hmac_signature import SignedRequest, check_signed_request
from cometify.core.identifier import Identifier
from cometify.core.md5_signature import secure
from cometify.core.push import Draft
from tests.samples import refusal
from tests.wire import seal as sign

KEY, SECRET = "37282591", "dj28DNam!!nx72*"
ACCOUNT = Account(KEY, (SECRET,))
NOW = 1_764_000_000.5
PATH, BODY, NONCE = "/37282591/push/chat", b"text=Hello&secret=0", "0123456789abcdef"


def sealed(at=NOW, nonce=NONCE, secret=SECRET):
    headers = sign(PATH, BODY, at, nonce, secret)
    return SignedRequest(
        b"POST", PATH.encode(), BODY, headers["Cometify-Timestamp"], nonce, headers["Cometify-Signature"]
    )


@pytest.mark.parametrize("secret", ["new", SECRET])
def test_either_live_secret_signs_in_either_case(secret):
    account = Account(KEY, ("new", SECRET))
    good = sealed(secret=secret)
    check_signed_request(account, good, NOW)
    check_signed_request(account, attrs.evolve(good, signature=good.signature.upper()), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": b"GET"},
        {"path": b"/37282591/push/Chat"},
        {"path": b"/37282591/push/chat?x"},
        {"body": BODY + b"&push_id=1"},
        {"timestamp": "1764000001"},
        {"timestamp": "01764000000"},
        {"nonce": NONCE + "0"},
        {"signature": ""},
        {"signature": "\ud800"},
        {"signature": "0" * 64},
    ],
)
def test_a_signature_of_anything_else_and_an_unknown_key_get_one_answer(changes):
    wrong = refusal(check_signed_request, ACCOUNT, attrs.evolve(sealed(), **changes), NOW)
    unknown = refusal(check_signed_request, None, sealed(), NOW)
    assert wrong.code is unknown.code is errors.NOT_AUTHORIZED
    assert wrong.detail == unknown.detail


def test_a_revoked_secret_signs_nothing_and_nobody_signs_for_no_account():
    assert refusal(check_signed_request, ACCOUNT, sealed(secret="old"), NOW).code is errors.NOT_AUTHORIZED
    for secret in ("", "nobody's secret", "nobody's other secret"):
        assert refusal(check_signed_request, None, sealed(secret=secret), NOW).code is errors.NOT_AUTHORIZED


@pytest.mark.parametrize(
    "timestamp", ["", "-1", "1764000000.5", "1764000000\n", " 1764000000", "0x1", "9" * 13, "\u0661"]
)
def test_a_timestamp_is_digits(timestamp):
    refused = refusal(check_signed_request, ACCOUNT, sealed(at=timestamp), NOW)
    assert refused.code is errors.INVALID_PARAMETER
    assert "Cometify-Timestamp" in refused.detail


@pytest.mark.parametrize("nonce", ["", "0" * 15, "0" * 65, "0" * 16 + "\n", "0123456789abcde.", "ä" * 16])
def test_a_nonce_has_a_form(nonce):
    refused = refusal(check_signed_request, ACCOUNT, sealed(nonce=nonce), NOW)
    assert refused.code is errors.INVALID_PARAMETER
    assert "Cometify-Nonce" in refused.detail


@pytest.mark.parametrize(
    ("off", "taken"), [(-300, False), (-299, True), (0, True), (300, True), (301, False), (86_400, False)]
)
def test_a_timestamp_is_at_most_300_seconds_off(off, taken):
    seal = sealed(at=int(NOW) + off)
    if taken:
        check_signed_request(ACCOUNT, seal, NOW)
    else:
        refused = refusal(check_signed_request, ACCOUNT, seal, NOW)
        assert refused.code is errors.NOT_AUTHORIZED
        assert ("ahead of" if off > 0 else "behind") in refused.detail


def test_a_seal_shows_neither_text_nor_signature():
    shown = repr(sealed())
    assert "Hello" not in shown
    assert sealed().signature not in shown


# What was signed becomes drafts.


def test_secure_is_not_looked_at():
    for more in ({}, {"secure": "wrong"}, {"secure": 7}):
        draft = admit_sealed("Chat", {"text": "Hello", "secret": 1, "push_id": 7, **more}, NONCE)
        assert draft == Draft(Identifier("Chat", "chat"), "Hello", True, 7, None, nonce=NONCE)


def test_an_account_that_demands_v2_takes_no_secure():
    fields = {"text": "Hello", "secret": "0", "secure": secure(KEY, SECRET, "chat", "Hello")}
    assert admit(ACCOUNT, KEY, "chat", fields).nonce is None
    strict = refusal(admit, Account(KEY, (SECRET,), signatures="v2"), KEY, "chat", fields)
    unknown = refusal(admit, None, KEY, "chat", fields)
    assert strict.code is unknown.code is errors.NOT_AUTHORIZED
    assert strict.detail == unknown.detail


def batch(*pushes):
    return json.dumps(pushes).encode()


def test_a_batch_is_drafts_in_its_order_and_the_first_has_the_nonce():
    drafts = admit_batch(
        batch(
            {"identifier": "Chat", "text": "one", "secret": 0},
            {"identifier": "metrics", "text": "", "secret": "1", "push_id": "7", "secure": 1, "more": []},
            {"identifier": "chat", "text": "one", "secret": 0},
        ),
        NONCE,
    )
    assert drafts == [
        Draft(Identifier("Chat", "chat"), "one", False, None, None, nonce=NONCE),
        Draft(Identifier("metrics", "metrics"), "", True, 7, None),
        Draft(Identifier("chat", "chat"), "one", False, None, None),
    ]
    assert admit_batch(b"[]", NONCE) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'"chat"', b"[", b"\xff", b"[NaN]"])
def test_what_is_no_array_is_refused(body):
    assert refusal(admit_batch, body, NONCE).code is errors.INVALID_BODY


def test_a_batch_has_at_most_100_pushes():
    push = {"identifier": "chat", "text": "x", "secret": 0}
    assert len(admit_batch(batch(*[push] * MAX_BATCH), NONCE)) == MAX_BATCH == 100
    refused = refusal(admit_batch, batch(*[push] * 101), NONCE)
    assert refused.code is errors.INVALID_BODY
    assert "101 were sent" in refused.detail


@pytest.mark.parametrize(
    ("push", "code"),
    [
        (7, errors.INVALID_BODY),
        ({"text": "x", "secret": 0}, errors.MISSING_PARAMETER),
        ({"identifier": "7", "text": "x", "secret": 0}, errors.INVALID_IDENTIFIER),
        ({"identifier": "chat", "secret": 0}, errors.MISSING_PARAMETER),
        ({"identifier": "chat", "text": "\0", "secret": 0}, errors.INVALID_TEXT),
        ({"identifier": "chat", "text": "x" * 65_537, "secret": 0}, errors.TEXT_TOO_LONG),
        ({"identifier": "chat", "text": "x"}, errors.MISSING_PARAMETER),
        ({"identifier": "chat", "text": "x", "secret": 0, "push_id": -1}, errors.INVALID_PARAMETER),
    ],
)
def test_a_wrong_push_is_told_by_its_number(push, code):
    refused = refusal(admit_batch, batch({"identifier": "chat", "text": "x", "secret": 0}, push), NONCE)
    assert refused.code is code
    assert refused.detail.startswith("Push 2 of the batch, nothing was pushed: ")


@given(st.binary() | st.lists(st.dictionaries(st.text(max_size=9), st.integers() | st.text())).map(lambda b: batch(*b)))
def test_any_body_is_a_batch_or_refused(body):
    try:
        admit_batch(body, NONCE)
    except errors.Refused as refused:
        assert refused.detail.encode()  # noqa: PT017
