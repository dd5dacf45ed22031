"""The API secret as the proof of a publisher: which secrets are accepted, and what a refusal tells."""

from contextlib import suppress

import pytest

from cometify.core import errors
from cometify.core.account import STRANGER, Account
from cometify.core.admission import admit, checked_already
from cometify.core.bearer import check_bearer
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from tests.calls import counted_c_calls
from tests.samples import refusal

KEY, SECRET = "37282591", "dj28DNam!!nx72*"
ACCOUNT = Account(KEY, (SECRET,))


@pytest.mark.parametrize("secrets", [(SECRET,), ("new", SECRET), (SECRET, "old"), ("sécret", SECRET)])
def test_each_live_secret_is_accepted(secrets):
    account = Account(KEY, secrets)
    assert [check_bearer(account, secret) for secret in secrets] == [account] * len(secrets)


@pytest.mark.parametrize("given", ["", SECRET[:-1], SECRET + "*", SECRET.upper(), "sécret", "0ld", "x" * 10_000])
def test_wrong_secret_and_unknown_key_get_one_answer(given):
    wrong = refusal(check_bearer, ACCOUNT, given)
    unknown = refusal(check_bearer, None, given)
    assert wrong.code is unknown.code is errors.NOT_AUTHORIZED
    assert wrong.detail == unknown.detail
    assert not given or given not in wrong.detail


def test_nobody_has_the_secret_of_an_unknown_key():
    for secret in STRANGER.api_secrets:
        assert refusal(check_bearer, None, secret).code is errors.NOT_AUTHORIZED


@pytest.mark.parametrize(("signatures", "taken"), [("any", True), ("strong", True), ("v2", False)])
def test_account_with_v2_takes_no_secret(signatures, taken):
    account = Account(KEY, (SECRET,), signatures=signatures)
    if taken:
        assert check_bearer(account, SECRET) is account
    else:
        assert refusal(check_bearer, account, SECRET).detail == refusal(check_bearer, None, SECRET).detail


@pytest.mark.parametrize("given", [SECRET, "new", "wrong", "x"])
def test_every_secret_costs_the_same_hashing(given):
    work = []
    for account in (ACCOUNT, Account(KEY, ("new", SECRET)), Account(KEY, (SECRET,), signatures="v2"), None):
        with counted_c_calls() as calls, suppress(errors.Refused):
            check_bearer(account, given)
        work.append({name: calls[name] for name in ("openssl_sha256", "compare_digest")})
    assert work == [{"openssl_sha256": 3, "compare_digest": 2}] * 4


@pytest.mark.parametrize("more", [{}, {"secure": "wrong"}, {"secure": 7}])
def test_push_with_the_secret_needs_no_secure(more):
    draft = admit({"text": "Hello", "secret": 1, "push_id": 7, **more}, "Chat", checked_already)
    assert draft == Draft(Identifier("Chat", "chat"), "Hello", True, 7, None)
