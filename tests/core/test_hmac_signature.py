"""Requests signed with HMAC: which signatures, times and nonces are accepted."""

from functools import partial

import attrs
import pytest

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.admission import admit
from cometify.core.hmac_signature import (
    SignedRequest,
    check_signed_head,
    check_signed_request,
    digest,
    note_nonce,
    signature,
)
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from tests.calls import counted_c_calls
from tests.samples import refusal, vectors
from tests.wire import seal as signature_headers

KEY, SECRET = "37282591", "dj28DNam!!nx72*"
ACCOUNT = Account(KEY, (SECRET,))
NOW = 1_764_000_000.5
VECTORS = vectors("signatures")["v2"]
PATH, BODY, NONCE = "/37282591/push/chat", b"text=Hello&secret=0", "0123456789abcdef"
KIND, IDEMPOTENCY_KEY = "application/x-www-form-urlencoded", "order-1704"


def signed(at=NOW, nonce=NONCE, secret=SECRET):
    headers = signature_headers(PATH, BODY, at, nonce, secret, KIND, IDEMPOTENCY_KEY)
    timestamp, signature = headers["Cometify-Timestamp"], headers["Cometify-Signature"]
    return SignedRequest(b"POST", PATH.encode(), KIND, IDEMPOTENCY_KEY, digest(BODY), timestamp, nonce, signature)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["signature"][:8])
def test_published_signatures_are_accepted_and_made(vector):
    request = SignedRequest(
        vector["method"].encode(),
        vector["path"].encode(),
        vector["content_type"],
        vector["idempotency_key"],
        digest(vector["body"].encode()),
        vector["timestamp"],
        vector["nonce"],
        vector["signature"],
    )
    account = Account(KEY, (vector["api_secret"],))
    assert check_signed_request(account, request, float(vector["timestamp"])) is account
    assert signature(vector["api_secret"], request) == vector["signature"]


@pytest.mark.parametrize("secret", ["new", SECRET])
def test_either_live_secret_signs_a_request_in_either_case(secret):
    account = Account(KEY, ("new", SECRET))
    good = signed(secret=secret)
    check_signed_request(account, good, NOW)
    check_signed_request(account, attrs.evolve(good, signature=good.signature.upper()), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": b"GET"},
        {"path": b"/37282591/push/Chat"},
        {"path": b"/37282591/push/chat?x"},
        {"digest": digest(BODY + b"&push_id=1")},
        {"content_type": ""},
        {"content_type": KIND.title()},
        {"content_type": KIND + " "},
        {"idempotency_key": ""},
        {"idempotency_key": "order-1705"},
        {"content_type": IDEMPOTENCY_KEY, "idempotency_key": KIND},
        {"timestamp": "1764000001"},
        {"timestamp": "01764000000"},
        {"nonce": NONCE + "0"},
        {"signature": ""},
        {"signature": "\ud800"},
        {"signature": "0" * 64},
    ],
)
def test_wrong_signature_and_unknown_key_get_one_answer(changes):
    wrong = refusal(check_signed_request, ACCOUNT, attrs.evolve(signed(), **changes), NOW)
    unknown = refusal(check_signed_request, None, signed(), NOW)
    assert wrong.code is unknown.code is errors.NOT_AUTHORIZED
    assert wrong.detail == unknown.detail


def test_head_of_a_request_is_judged_without_body_and_signature():
    head = attrs.evolve(signed(), digest="", signature="0" * 64)
    check_signed_head(ACCOUNT, head, NOW)
    assert (
        refusal(check_signed_head, None, head, NOW).detail == refusal(check_signed_request, ACCOUNT, head, NOW).detail
    )
    assert refusal(check_signed_head, ACCOUNT, attrs.evolve(head, nonce=""), NOW).code is errors.INVALID_PARAMETER
    late = [refusal(check_signed_head, account, head, NOW + 301).detail for account in (ACCOUNT, None)]
    assert late[0] == late[1]
    assert "behind" in late[0]


def test_revoked_secrets_and_strangers_cannot_sign():
    assert refusal(check_signed_request, ACCOUNT, signed(secret="old"), NOW).code is errors.NOT_AUTHORIZED
    for secret in ("", "nobody's secret", "nobody's other secret"):
        assert refusal(check_signed_request, None, signed(secret=secret), NOW).code is errors.NOT_AUTHORIZED


@pytest.mark.parametrize(
    "timestamp", ["", "-1", "1764000000.5", "1764000000\n", " 1764000000", "0x1", "9" * 13, "\u0661"]
)
def test_timestamp_must_be_digits(timestamp):
    refused = refusal(check_signed_request, ACCOUNT, signed(at=timestamp), NOW)
    assert refused.code is errors.INVALID_PARAMETER
    assert "Cometify-Timestamp" in refused.detail


@pytest.mark.parametrize("nonce", ["", "0" * 15, "0" * 65, "0" * 16 + "\n", "0123456789abcde.", "ä" * 16])
def test_nonce_must_be_16_to_64_url_safe_characters(nonce):
    refused = refusal(check_signed_request, ACCOUNT, signed(nonce=nonce), NOW)
    assert refused.code is errors.INVALID_PARAMETER
    assert "Cometify-Nonce" in refused.detail


@pytest.mark.parametrize(
    ("off", "taken"), [(-300, False), (-299, True), (0, True), (300, True), (301, False), (86_400, False)]
)
def test_timestamp_differs_by_at_most_300_seconds(off, taken):
    request = signed(at=int(NOW) + off)
    if taken:
        check_signed_request(ACCOUNT, request, NOW)
    else:
        refused = refusal(check_signed_request, ACCOUNT, request, NOW)
        assert refused.code is errors.NOT_AUTHORIZED
        assert ("ahead of" if off > 0 else "behind") in refused.detail


def test_repr_of_a_request_hides_its_text_and_signature():
    shown = repr(signed())
    assert "Hello" not in shown
    assert signed().signature not in shown


@pytest.mark.parametrize("secrets", [(SECRET,), ("new", SECRET)])
def test_unknown_key_costs_the_hashing_of_a_wrong_signature(secrets):
    wrong = signed(secret="wrong")
    work = []
    for account in (Account(KEY, secrets), None):
        with counted_c_calls() as calls:
            refusal(check_signed_request, account, wrong, NOW)
        work.append({name: calls[name] for name in ("hmac_digest", "compare_digest")})
    assert work[0] == work[1] == {"hmac_digest": 2, "compare_digest": 2}


@pytest.mark.parametrize("more", [{}, {"secure": "wrong"}, {"secure": 7}])
def test_signed_request_needs_no_secure(more):
    draft = admit({"text": "Hello", "secret": 1, "push_id": 7, **more}, "Chat", partial(note_nonce, NONCE))
    assert draft == Draft(Identifier("Chat", "chat"), "Hello", True, 7, None, nonce=NONCE)
