"""The seed's two MD5 signatures, and their comparison in constant time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.identifier import Identifier
from cometify.core.md5_signature import md5hex, same, secure, secure_key, verify_secure
from cometify.core.push import Draft
from tests.calls import counted_c_calls
from tests.samples import vectors

VECTORS = vectors("signatures")
DIGEST = "d6d02dbf813a87619a1ab325878942b0"
OTHER = "149f26540f697a97e886e2527466c6e8"


def test_documented_examples_hold():
    assert secure_key("1", "c1h89chHaka9s1", "metrics,tweets") == "d6d02dbf813a87619a1ab325878942b0"
    assert secure("1", "c1h89chHaka9s1", "visitors", "284 people") == "149f26540f697a97e886e2527466c6e8"
    key = secure_key("37282591", "dj28DNam!!nx72*", "guestbook,comments,oneliner")
    assert key == "5b70b14ea396f689a1b9550ba66025bc"


@pytest.mark.parametrize("vector", VECTORS["secure"], ids=lambda vector: vector["digest"])
def test_push_is_signed_as_published(vector):
    digest = secure(vector["api_key"], vector["api_secret"], vector["identifier"], vector["text"])
    assert digest == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS["secureKey"], ids=lambda vector: vector["digest"])
def test_list_of_identifiers_is_signed_as_published(vector):
    assert secure_key(vector["api_key"], vector["api_secret"], vector["identifiers"]) == vector["digest"]


def test_md5_covers_the_utf8():
    assert md5hex("") == "d41d8cd98f00b204e9800998ecf8427e"
    assert md5hex("ü") == "c03410a5204b21cd8229ff754688d743"


@pytest.mark.parametrize("expected", [[DIGEST], [DIGEST, OTHER], [OTHER, DIGEST]])
@pytest.mark.parametrize("sent", [DIGEST, DIGEST.upper()])
def test_one_expected_digest_is_enough_in_either_case(sent, expected):
    assert same(sent, expected)
    assert same(sent, iter(expected))


@pytest.mark.parametrize("sent", ["", OTHER, DIGEST[:-1], DIGEST + "0", DIGEST + "\n", " " + DIGEST, "ü", "\ud800"])
def test_anything_else_is_not_the_same(sent):
    assert not same(sent, [DIGEST])


def test_nothing_is_the_same_as_no_digest():
    assert not same("", [])
    assert not same(DIGEST, iter(()))


@given(st.text(st.characters()))
def test_any_text_is_compared_without_an_error(text):
    assert same(text, [DIGEST]) == (text.lower() == DIGEST)


@pytest.mark.parametrize("sent", [DIGEST, OTHER, "0" * 32])
def test_every_digest_is_compared_in_constant_time(sent):
    with counted_c_calls() as calls:
        same(sent, [DIGEST, OTHER])
    assert calls["compare_digest"] == 2


def refused(account, given, api_key="37282591"):
    draft = Draft(Identifier.read("chat"), "Hello", False, None, None)
    with pytest.raises(errors.Refused) as caught:
        verify_secure(account, api_key, draft, {"secure": given})
    assert draft.signature is None
    return caught.value


@pytest.mark.parametrize("secrets", [("one",), ("new", "old")])
def test_unknown_key_costs_the_hashing_of_a_wrong_signature(secrets):
    account = Account("37282591", secrets)
    for known in (account, None):
        refused(known, OTHER)  # from now on the digests of the secrets are remembered
    work = []
    for known in (account, None):
        with counted_c_calls() as calls:
            assert refused(known, OTHER).code is errors.NOT_AUTHORIZED
        work.append({name: calls[name] for name in ("openssl_md5", "compare_digest")})
    assert work[0] == work[1] == {"openssl_md5": 2, "compare_digest": 2}


def test_api_key_never_seen_before_costs_the_same():
    refused(None, OTHER)
    with counted_c_calls() as calls:
        refused(None, OTHER, "never-seen-before")
    assert calls["openssl_md5"] == 2


def test_account_that_demands_v2_takes_no_secure():
    good = secure("37282591", "secret", "chat", "Hello")
    strict = refused(Account("37282591", ("secret",), signatures="v2"), good)
    unknown = refused(None, good)
    assert strict.code is unknown.code is errors.NOT_AUTHORIZED
    assert strict.detail == unknown.detail
