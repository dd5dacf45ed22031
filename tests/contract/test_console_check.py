"""POST /console/check takes whatever somebody pastes there."""

import json

import pytest
from twisted.logger import globalLogPublisher

from tests.contract.support import API_KEY, code_of
from tests.wire import jwt, request_bytes

HEADERS = "Cometify-Nonce: n\nCometify-Signature: s"


def check(world, **members):
    wire = world.connect_admin()
    headers = {"Content-Type": "application/json"}
    wire.receive(request_bytes("POST", "/console/check", json.dumps(members).encode(), headers))
    return wire.answer()


@pytest.mark.memory
def test_request_with_a_long_body_is_checked(world):
    answer = check(world, request=f"POST /{API_KEY}/push/chat HTTP/1.1\n\n{'a' * 700_000}")
    assert answer.status == 200
    assert code_of(check(world, request="a" * 1_100_000)) == "body_too_large"


@pytest.mark.memory
@pytest.mark.parametrize(
    "pasted",
    [
        {"request": f"POST /{API_KEY}/push/chat HTTP/1.1\nCometify-Timestamp: ²\n{HEADERS}\n\n"},
        {"request": f"POST /{API_KEY}/push/chat HTTP/1.1\nCometify-Timestamp: {'9' * 5000}\n{HEADERS}\n\n"},
        {"request": f"POST /{API_KEY}/push/chat HTTP/1.1\nAuthorization: Bearer \ud800\n\n"},
        {"account": API_KEY, "token": jwt('{"exp":-1' + "0" * 400 + "}")},
        {"account": API_KEY, "token": jwt("[" * 3000)},
    ],
    ids=["digit", "digits", "surrogate", "number", "nesting"],
)
def test_value_that_cannot_be_checked_is_told(world, pasted):
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        answer = check(world, **pasted)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert (answer.status, code_of(answer)) == (400, "invalid_body")
    assert events == []


@pytest.mark.memory
def test_name_of_a_parameter_may_be_percent_encoded(world):
    answer = check(world, request=f"POST /{API_KEY}/push/chat HTTP/1.1\n\nte%78t=x&secret=0&secure=y")
    assert answer.json["checks"][-1]["name"] != "parameters"
