"""The tokens that are accepted, and the rights that they give."""

import base64
import json
import math
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.token import MAX_TOKEN, make_token, read_token
from tests.calls import counted_c_calls
from tests.samples import JSON, vectors
from tests.wire import API_SECRET, jwt, jwt_signed

VECTORS = vectors("tokens")
NOW = 1_764_000_000
GOOD = jwt({"exp": NOW + 600, "identifiers": ["chat"]})
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,8}", fullmatch=True)


def refusal(text, secrets=(API_SECRET,), now=NOW):
    with pytest.raises(errors.Refused) as caught:
        read_token(text, secrets, now)
    assert caught.value.code is errors.INVALID_TOKEN
    return caught.value.detail


@pytest.mark.parametrize("row", VECTORS["right"], ids=lambda row: row["about"])
def test_token_gives_the_rights_of_its_vector(row):
    token = read_token(row["token"], row["api_secrets"], row["now"])
    assert token.until == row["until"]
    assert [name for name in row["of"] if token.covers(name)] == row["gives"]


@pytest.mark.parametrize("row", VECTORS["wrong"], ids=lambda row: row["about"])
def test_refusal_of_a_wrong_token_repeats_nothing_of_it(row):
    detail = refusal(row["token"], row["api_secrets"], row["now"])
    for part in row["token"].split("."):
        assert len(part) < 8 or part not in detail


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("a.b", "three parts"),
        (jwt({}, header={"alg": "none"}), "HS256"),
        (jwt({}, header={"alg": "HS256", "crit": ["b64"]}), "crit"),
        (jwt({}, header={"alg": "HS256", "kid": 7}), "well-formed"),
        (jwt({}, "another secret"), "API secret"),
        (jwt("{"), "payload"),
        (jwt({}, header="7"), "header"),
        (jwt({"exp": (NOW + 600) * 1000}), "not milliseconds"),
        (jwt({"exp": -(10**400)}), "exp must be"),
        (jwt({"exp": NOW - 5}), f"exp is {NOW - 5} and this server's clock shows {NOW}"),
        (jwt({"exp": NOW + 5, "nbf": NOW + 61}), f"nbf is {NOW + 61} and"),
        (jwt({"exp": NOW + 5, "nbf": "soon"}), "nbf must be"),
        (jwt({"exp": NOW + 5}), "identifiers must be"),
    ],
)
def test_refusal_tells_the_reason(token, told):
    assert told in refusal(token)


@pytest.mark.parametrize(
    ("claims", "subject"),
    [
        ({"sub": "user_7", "iat": NOW}, ("user_7", NOW)),
        ({"sub": "user_7", "iat": NOW + 0.5}, ("user_7", NOW + 0.5)),
        ({"sub": "x" * 128}, ("x" * 128, -math.inf)),
        ({"sub": "Zoë 7"}, ("Zoë 7", -math.inf)),
        ({"iat": NOW}, (None, -math.inf)),
        ({"iat": "never looked at"}, (None, -math.inf)),
    ],
)
def test_token_tells_its_subject_and_when_it_was_issued(claims, subject):
    token = read_token(jwt({"exp": NOW + 600, "identifiers": ["chat"], **claims}), [API_SECRET], NOW)
    assert (token.subject, token.issued) == subject


@pytest.mark.parametrize("subject", ["", "x" * 129, 7, None, ["a"], "a\nb", "\ud800"])
def test_subject_must_be_a_short_printable_text(subject):
    detail = refusal(jwt({"exp": NOW + 600, "identifiers": ["chat"], "sub": subject}))
    assert "its sub must be a string of 1 to 128 printable characters" in detail


@pytest.mark.parametrize("issued", ["soon", None, True, NOW * 1000])
def test_iat_beside_a_subject_must_be_unix_seconds(issued):
    assert "its iat must be" in refusal(jwt({"exp": NOW + 5, "identifiers": ["chat"], "sub": "a", "iat": issued}))


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(
    "data", [b"\xff", b"", b'{"a":"\xff"}', b"[" * 5000, b'{"a":' + b"9" * 5000 + b"}", "{}".encode("utf-16")]
)
def test_part_that_is_not_strict_json_is_refused(part, data):
    parts = GOOD.split(".")
    parts[part] = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert refusal(jwt_signed(".".join(parts[:2])))


@pytest.mark.parametrize("part", [0, 1])
def test_part_of_a_length_that_base64_never_has_is_refused(part):
    parts = GOOD.split(".")[:2]
    parts[part] = "eyJhI"
    assert ("header", "well-formed")[part] in refusal(jwt_signed(".".join(parts)))


def test_token_may_be_8_kib_long_and_no_longer():
    tokens = [jwt({"exp": NOW + 5, "identifiers": ["chat"], "x": "x" * size}) for size in range(5990, 6050)]
    lengths = {len(token): token for token in tokens}
    assert {8192, 8193} <= lengths.keys()
    for length, token in lengths.items():
        if length <= MAX_TOKEN:
            assert read_token(token, [API_SECRET], NOW).covers("chat")
        else:
            assert f"{MAX_TOKEN} characters" in refusal(token)


@pytest.mark.parametrize(
    "secret",
    [
        "s",
        "ssh-rsa AAAAB3NzaC1yc2E",
        "-----BEGIN PUBLIC KEY-----\nMFww\n-----END PUBLIC KEY-----",
        '{"kty":"oct","k":"c2VjcmV0"}',
    ],
    ids=["short", "ssh", "pem", "jwk"],
)
def test_any_api_secret_verifies_tokens_without_a_warning(secret):
    """PyJWT itself warns of the first one, and refuses the others as keys that must not be secrets."""
    token = jwt({"exp": NOW + 5, "identifiers": ["chat"]}, secret)
    assert read_token(token, [secret], NOW).covers("chat")


@pytest.mark.parametrize("signer", ["new", "old", "revoked"])
def test_every_secret_is_compared_in_constant_time(signer):
    token = jwt({"exp": NOW + 5, "identifiers": ["chat"]}, signer)
    with counted_c_calls() as calls, suppress(errors.Refused):
        read_token(token, ["new", "old"], NOW)
    assert calls["compare_digest"] == 2


def test_signature_has_only_one_spelling():
    """Its 43 characters have two bits more than SHA-256. Other libraries drop these two, whatever they are."""
    same = [GOOD[:-1] + character for character in BASE64URL]
    assert len({base64.urlsafe_b64decode(token.rpartition(".")[2] + "=") for token in same}) == 16
    for token in same:
        if token != GOOD:
            assert refusal(token)


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_arbitrary_text_is_refused(text):
    assert refusal(text)


@given(JSON | st.fixed_dictionaries({"exp": JSON, "identifiers": JSON}), JSON)
def test_any_signed_json_is_a_token_or_is_refused(claims, header):
    for made in (jwt(json.dumps(claims)), jwt(json.dumps(claims), header=json.dumps(header))):
        try:
            token = read_token(made, [API_SECRET], NOW)
        except errors.Refused as refused:
            assert refused.code is errors.INVALID_TOKEN  # noqa: PT017
        else:
            assert token.until > NOW


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("ABab019-_.="))
def test_token_with_one_character_changed_is_refused(at, character):
    changed = GOOD[:at] + character + GOOD[at + 1 :]
    if changed != GOOD:
        assert refusal(changed)


@given(st.lists(NAMES.map(str) | NAMES.map("{}*".format)), NAMES)
def test_token_covers_its_names_and_prefixes_in_any_case(names, asked):
    token = read_token(jwt({"exp": NOW + 5, "identifiers": names}), [API_SECRET], NOW)
    expected = any(
        asked.lower().startswith(name[:-1].lower()) if name.endswith("*") else asked.lower() == name.lower()
        for name in names
    )
    assert token.covers(asked.lower()) == expected


@given(
    st.text(min_size=1, max_size=80).filter(str.isprintable),
    st.lists(st.sampled_from(["chat", "Order_*", "*"]), max_size=5),
    st.none() | st.text(min_size=1, max_size=20).filter(str.isprintable),
)
@example("-----BEGIN PUBLIC KEY-----", ["chat"], None)  # PyJWT's own class refuses such a secret
def test_made_token_is_read_with_the_same_secret_alone(secret, names, subject):
    made = make_token(secret, names, 2000, 1000, subject)
    token = read_token(made, ["older", secret], 1000)
    assert (token.until, token.subject) == (2000, subject)
    assert token.covers("chat") == any(name in ("chat", "*") for name in names)
    assert "signature" in refusal(made, [f"{secret}x"], 1000)


@pytest.mark.parametrize("row", vectors("publishers")["tokens"], ids=lambda row: row["about"])
def test_made_token_has_the_claims_of_its_vector(row):
    now = row["now"]
    made = make_token(row["api_secret"], row["identifiers"], now + row["seconds"], now, row["sub"])
    payload = made.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == row["claims"]
    assert read_token(made, [row["api_secret"]], now).subject == row["sub"]
