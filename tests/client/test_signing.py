"""Signatures, keys, tokens and URLs: the cases that all languages share, and the server's own functions beside them."""

import json
from base64 import urlsafe_b64decode

import pytest

from cometify.client import Cometify, CometifyError, signing
from cometify.client.address import read_url
from cometify.core.token import make_token
from tests.samples import vectors

PUBLISHERS = vectors("publishers")
SIGNATURES = vectors("signatures")


@pytest.mark.parametrize("row", PUBLISHERS["urls"], ids=lambda row: row["about"])
def test_url_is_read_as_in_other_languages(row):
    address = read_url(row["url"])
    assert (address.api_key, address.api_secret) == (row["api_key"], row["api_secret"])
    assert f"{address.origin}{address.prefix}" == row["server"]
    assert (address.scheme == "https" or address.is_loopback) == row["bearer"]


@pytest.mark.parametrize("row", PUBLISHERS["wrong_urls"], ids=lambda row: row["about"])
def test_url_is_refused_as_in_other_languages(row):
    with pytest.raises(CometifyError) as caught:
        read_url(row["url"])
    assert caught.value.code == "invalid_url"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("row", SIGNATURES["v2"], ids=lambda row: row["path"])
def test_signature_is_that_of_its_vector(row):
    parts = (
        row["method"],
        row["path"],
        int(row["timestamp"]),
        row["nonce"],
        row["content_type"],
        row["idempotency_key"],
    )
    assert signing.sign(row["api_secret"], *parts, row["body"].encode()) == row["signature"]


@pytest.mark.parametrize("row", SIGNATURES["secureKey"], ids=lambda row: row["identifiers"])
def test_secure_key_is_that_of_its_vector(row):
    client = Cometify("https://push.example.org", row["api_key"], row["api_secret"])
    assert client.secure_key(row["identifiers"]) == row["digest"]
    assert client.secure_key(row["identifiers"].split(",")) == row["digest"]


@pytest.mark.parametrize("row", PUBLISHERS["tokens"], ids=lambda row: row["about"])
def test_token_is_that_of_its_vector(row):
    until = row["now"] + row["seconds"]
    token = signing.token(row["api_secret"], row["identifiers"], row["now"], until, row["sub"])
    assert token == make_token(row["api_secret"], row["identifiers"], until, row["now"], row["sub"])
    payload = token.split(".")[1]
    assert json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) == row["claims"]


@pytest.mark.parametrize("names", ["", "a b", "a,,b", ["a", 7], [], "a**", "*a", "ä"])
def test_names_that_no_server_would_take_are_refused(names):
    client = Cometify("https://push.example.org", "k", "s")
    for make in (client.secure_key, lambda names: client.token(names, 60)):
        with pytest.raises(CometifyError) as caught:
            make(names)
        assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    ("seconds", "sub"),
    [
        (0, None),
        (-5, None),
        (float("nan"), None),
        (float("inf"), None),
        ("60", None),
        (True, None),
        (60, ""),
        (60, "x" * 129),
        (60, "a\n"),
        (60, 7),
    ],
)
def test_token_that_no_server_would_take_is_refused(seconds, sub):
    with pytest.raises(CometifyError):
        Cometify("https://push.example.org", "k", "s").token("chat", seconds, sub)
