"""`verify_webhook` of the libraries for Python, Node and PHP: the same requests are genuine for all three."""

import json
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cometify.client import Cometify, CometifyError
from tests.sdk.test_webhook_samples import signed
from tests.wire import API_KEY, API_SECRET

SDK = Path(__file__).parents[2] / "sdk"
URL = f"https://{API_KEY}:{API_SECRET.replace('*', '%2A')}@push.example.org"
BODY = '[{"type":"occupied","id":7,"time":1,"identifier":"chat"}]'
EVENTS = json.loads(BODY)
OTHER = "the other one"
NODE = """
import { Cometify } from '%s/node/index.js';
import { readFileSync } from 'node:fs';
const cometify = Cometify.fromUrl('%s');
const lower = (headers) => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(([path, headers, body]) => {
  try { return cometify.verifyWebhook(path, lower(headers), Buffer.from(body), { otherSecret: '%s' }); }
  catch (error) { return error.code; }
})));
"""
PHP = """
require '%s/php/Cometify.php';
$cometify = Cometify\\Cometify::fromUrl('%s');
echo json_encode(array_map(function ($case) use ($cometify) {
    try { return $cometify->verifyWebhook($case[0], $case[1], $case[2], '%s'); }
    catch (Cometify\\CometifyException $error) { return $error->code; }
}, json_decode(stream_get_contents(STDIN), true)));
"""


def cases():
    """Requests that are genuine, and others. Made when a test needs them, because they grow old."""
    headers = signed(BODY.encode())
    genuine = [
        ("/hook", headers, BODY),
        ("/hook?from=cometify", headers, BODY),
        ("/hook", signed(BODY.encode(), secret="the other one"), BODY),
        ("/hook", signed(BODY.encode(), age=240), BODY),
    ]
    refused = [
        ("/hook", {}, BODY),
        ("/other", headers, BODY),
        ("/hook", headers, BODY + " "),
        ("/hook", signed(BODY.encode(), secret="a third one"), BODY),
        ("/hook", signed(BODY.encode(), age=310), BODY),
        ("/hook", signed(BODY.encode(), age=-360), BODY),
        ("/hook", {**headers, "Cometify-Timestamp": "now"}, BODY),
        ("/hook", {**headers, "Cometify-Nonce": "m" * 20}, BODY),
        ("/hook", {**headers, "Idempotency-Key": "8"}, BODY),
        ("/hook", {**headers, "Content-Type": "text/plain"}, BODY),
        ("/hook", {**headers, "Cometify-Signature": "é"}, BODY),
        ("/hook", {**headers, "Cometify-Signature": ""}, BODY),
        ("/hook", {**headers, "Cometify-Signature": ["x"], "Cometify-Nonce": None, "Content-Type": 5}, BODY),
        ("/hook", {**headers, "Cometify-Timestamp": "9" * 5000}, BODY),
        *(("/hook", signed(body.encode()), body) for body in ("", "text", "{}", "null", "5", "[5]", "[[1]", "[null]")),
    ]
    return genuine, refused


def in_python(cases, other=OTHER):
    return [outcome(path, headers, body.encode(), other) for path, headers, body in cases]


def outcome(path, headers, body, other=OTHER):
    """The events of a request, or the code of its refusal."""
    try:
        return Cometify.from_url(URL).verify_webhook(path, headers, body, other_secret=other)
    except CometifyError as error:
        return error.code


def run(command, cases):
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def in_node(cases, other=OTHER):
    return run(["node", "--input-type=module", "-e", NODE % (SDK, URL, other)], cases)


def in_php(cases, other=OTHER):
    return run(["php", "-r", PHP % (SDK, URL, other)], cases)


@pytest.mark.parametrize("language", [in_python, in_node, in_php])
def test_requests_of_the_server_are_genuine_and_no_others(language):
    genuine, refused = cases()
    found = language(genuine + refused)
    assert found[: len(genuine)] == [EVENTS] * len(genuine)
    assert found[len(genuine) :] == ["not_authorized"] * len(refused)


@pytest.mark.parametrize("language", [in_python, in_node, in_php])
def test_empty_other_secret_is_an_invalid_parameter(language):
    body = BODY.encode()
    requests = [("/hook", signed(body, secret=secret), BODY) for secret in ("", API_SECRET)]
    assert language(requests, other="") == ["invalid_parameter"] * 2


ODD = st.none() | st.integers() | st.binary(max_size=9) | st.text(st.characters(), max_size=9) | st.lists(st.none())
NAMES = st.sampled_from(
    ["Cometify-Timestamp", "Cometify-Nonce", "Cometify-Signature", "Content-Type", "Idempotency-Key"]
)


@settings(max_examples=300)
@given(
    st.text(st.characters(), max_size=9) | st.just("/hook"),
    st.dictionaries(NAMES | NAMES.map(str.encode) | ODD.filter(lambda odd: not isinstance(odd, list)), ODD),
    st.binary(max_size=9) | st.just(BODY.encode()),
    st.booleans(),
)
def test_whatever_a_stranger_sends_is_not_authorized(path, headers, body, is_based):
    based = (signed(body) if is_based else {}) | headers
    found = outcome(path, based, body)
    assert found == "not_authorized" or (path, body, found) == ("/hook", BODY.encode(), EVENTS)


ODD_JSON = st.recursive(ODD, st.lists, max_leaves=3).map(lambda odd: repr(odd).encode(errors="replace"))


@given(st.binary(max_size=20) | ODD_JSON)
def test_signed_body_that_is_no_list_of_events_is_not_authorized(body):
    with suppress(ValueError):
        assume(json.loads(body) != [])
    with pytest.raises(CometifyError) as refused:
        Cometify.from_url(URL).verify_webhook("/hook", signed(body), body)
    assert refused.value.code == "not_authorized"


@settings(max_examples=300)
@given(ODD, ODD, ODD, ODD)
def test_argument_of_another_type_is_an_invalid_parameter(path, headers, body, other):
    with pytest.raises(CometifyError) as refused:
        Cometify.from_url(URL).verify_webhook(path, headers, body, other_secret=other)
    assert refused.value.code == "invalid_parameter"


def test_headers_may_be_bytes_and_need_no_mapping():
    class Pairs:
        def items(self):
            return [(name.encode(), value.encode()) for name, value in signed(BODY.encode()).items()]

    assert Cometify.from_url(URL).verify_webhook("/hook", Pairs(), bytearray(BODY.encode())) == EVENTS


def test_other_secret_is_not_accepted_without_being_given():
    with pytest.raises(CometifyError):
        Cometify.from_url(URL).verify_webhook("/hook", signed(BODY.encode(), secret="the other one"), BODY.encode())


def test_names_of_headers_may_be_those_of_a_framework():
    cometify, headers = Cometify.from_url(URL), signed(BODY.encode())
    for spelled in (str.lower, str.upper, lambda name: name.replace("-", "_").upper()):
        assert (
            cometify.verify_webhook("/hook", {spelled(name): headers[name] for name in headers}, BODY.encode())
            == EVENTS
        )
