"""The tokens of accounts: which are accepted, and that none is a listener's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core.account_token import make_account_token, read_account_token
from cometify.core.errors import INVALID_TOKEN, Refused
from cometify.core.token import looks_like_token, make_token, read_token
from tests.wire import API_KEY, API_SECRET, jwt

NOW = 1_764_000_000
GOOD = {"exp": NOW + 5, "scope": "account", "api_key": API_KEY}


def refusal(text, api_key=API_KEY, secrets=(API_SECRET,), now=NOW):
    with pytest.raises(Refused) as caught:
        read_account_token(text, api_key, secrets, now)
    assert caught.value.code is INVALID_TOKEN
    return caught.value.detail


@given(st.text(min_size=1, max_size=40).filter(str.isprintable), st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_made_token_is_read_for_its_account_and_secret_alone(secret, api_key):
    made = make_account_token(secret, api_key, NOW + 5, NOW)
    assert looks_like_token(made)
    read_account_token(made, api_key, ["older", secret], NOW)
    assert "signature" in refusal(made, api_key, [f"{secret}x"])
    assert "this account" in refusal(made, f"{api_key}_", [secret])
    assert "expired" in refusal(made, api_key, [secret], NOW + 5)


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "Account"},
        {"scope": None},
        {"scope": ["account"]},
        {"identifiers": []},
        {"identifiers": ["*"]},
    ],
)
def test_claims_of_other_tokens_are_refused(claims):
    assert "for this request" in refusal(jwt({**GOOD, **claims}))


@pytest.mark.parametrize("api_key", [None, 37282591, "", API_KEY.upper() + "x"])
def test_api_key_must_be_exactly_that_of_the_path(api_key):
    assert "this account" in refusal(jwt({**GOOD, "api_key": api_key}))


def test_tokens_are_never_interchangeable():
    assert refusal(make_token(API_SECRET, ["chat"], NOW + 5, NOW))
    for claims in (GOOD, {**GOOD, "identifiers": ["chat"]}):
        with pytest.raises(Refused) as caught:
            read_token(jwt(claims), [API_SECRET], NOW)
        assert "gives no listener a right" in caught.value.detail
