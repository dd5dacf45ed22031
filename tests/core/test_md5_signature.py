"""The seed's two formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core.hmac_signature import SignedRequest, hmac_hex
from cometify.core.md5_signature import md5hex, same, secure, secure_key
from tests.samples import vectors

VECTORS = vectors("signatures")
DIGEST = "d6d02dbf813a87619a1ab325878942b0"
OTHER = "149f26540f697a97e886e2527466c6e8"


def test_the_documented_examples_hold():
    assert secure_key("1", "c1h89chHaka9s1", "metrics,tweets") == "d6d02dbf813a87619a1ab325878942b0"
    assert secure("1", "c1h89chHaka9s1", "visitors", "284 people") == "149f26540f697a97e886e2527466c6e8"
    key = secure_key("37282591", "dj28DNam!!nx72*", "guestbook,comments,oneliner")
    assert key == "5b70b14ea396f689a1b9550ba66025bc"


@pytest.mark.parametrize("vector", VECTORS["secure"], ids=lambda vector: vector["digest"])
def test_a_push_is_signed_as_published(vector):
    digest = secure(vector["api_key"], vector["api_secret"], vector["identifier"], vector["text"])
    assert digest == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS["secureKey"], ids=lambda vector: vector["digest"])
def test_a_list_is_signed_as_published(vector):
    assert secure_key(vector["api_key"], vector["api_secret"], vector["identifiers"]) == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS["v2"], ids=lambda vector: vector["signature"][:8])
def test_a_request_is_signed_as_published(vector):
    signed_request = SignedRequest(
        vector["method"].encode(),
        vector["path"].encode(),
        vector["body"].encode(),
        vector["timestamp"],
        vector["nonce"],
        "",
    )
    assert hmac_hex(vector["api_secret"], signed_request) == vector["signature"]


def test_md5_is_of_the_utf8():
    assert md5hex("") == "d41d8cd98f00b204e9800998ecf8427e"
    assert md5hex("ü") == "c03410a5204b21cd8229ff754688d743"


@pytest.mark.parametrize("expected", [[DIGEST], [DIGEST, OTHER], [OTHER, DIGEST]])
@pytest.mark.parametrize("sent", [DIGEST, DIGEST.upper()])
def test_one_of_those_expected_is_enough_in_either_case(sent, expected):
    assert same(sent, expected)
    assert same(sent, iter(expected))


@pytest.mark.parametrize("sent", ["", OTHER, DIGEST[:-1], DIGEST + "0", DIGEST + "\n", " " + DIGEST, "ü", "\ud800"])
def test_anything_else_is_not_the_same(sent):
    assert not same(sent, [DIGEST])


def test_nothing_is_the_same_where_nothing_is_expected():
    assert not same("", [])
    assert not same(DIGEST, iter(()))


@given(st.text(st.characters()))
def test_any_text_is_compared_without_an_error(text):
    assert same(text, [DIGEST]) == (text.lower() == DIGEST)
