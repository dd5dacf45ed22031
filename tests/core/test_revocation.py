"""Requests to disconnect, and the memory of revoked subjects."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors, revocation
from cometify.core.revocation import KEPT, Disconnect, Revocations, read_disconnect, revoked_from

NOW = 1_764_000_000


def refusal(members):
    with pytest.raises(errors.Refused) as caught:
        read_disconnect(members)
    return caught.value


@pytest.mark.parametrize(
    ("members", "read"),
    [
        ({"subject": "user_7"}, Disconnect(subject="user_7")),
        ({"subject": "x" * 128}, Disconnect(subject="x" * 128)),
        ({"subject": "Zoë 7"}, Disconnect(subject="Zoë 7")),
        ({"listener": "0123abcd"}, Disconnect(listener="0123abcd")),
    ],
)
def test_one_field_says_whom_to_disconnect(members, read):
    assert read_disconnect(members) == read


@pytest.mark.parametrize(
    ("members", "code", "told"),
    [
        ({}, errors.MISSING_PARAMETER, "whom"),
        ({"subject": "a", "listener": "0123abcd"}, errors.INVALID_PARAMETER, "exactly one field"),
        ({"subject": "a", "x": 1}, errors.INVALID_PARAMETER, "exactly one field"),
        ({"Subject": "a"}, errors.INVALID_PARAMETER, "exactly one field"),
        ({"subject": None}, errors.INVALID_PARAMETER, "1 to 128"),
        ({"subject": ""}, errors.INVALID_PARAMETER, "1 to 128"),
        ({"subject": "x" * 129}, errors.INVALID_PARAMETER, "1 to 128"),
        ({"subject": "a\x00"}, errors.INVALID_PARAMETER, "printable"),
        ({"listener": None}, errors.INVALID_PARAMETER, "null"),
        ({"listener": "short"}, errors.INVALID_PARAMETER, "8 to 64"),
    ],
)
def test_refusal_says_what_to_send(members, code, told):
    refused = refusal(members)
    assert refused.code is code
    assert told in refused.detail


@given(st.floats(NOW, NOW + 10))
def test_revocation_counts_from_the_next_full_second(now):
    assert 0 < revoked_from(now) - now <= 1
    assert revoked_from(now) == int(now) + 1


def test_subject_that_was_never_revoked_refuses_nothing():
    assert Revocations().at("user_7") == -inf


def test_latest_revocation_counts():
    revocations = Revocations()
    assert revocations.note("user_7", NOW)
    assert not revocations.note("user_7", NOW)
    assert not revocations.note("user_7", NOW - 5)
    assert revocations.at("user_7") == NOW
    assert revocations.note("user_7", NOW + 5)
    assert (revocations.at("user_7"), len(revocations)) == (NOW + 5, 1)


def test_oldest_revocation_makes_room(monkeypatch):
    monkeypatch.setattr(revocation, "MOST", 3)
    revocations = Revocations()
    for number, subject in enumerate(["a", "b", "c", "a", "d"]):
        revocations.note(subject, NOW + number)
    assert [subject for subject in "abcd" if revocations.at(subject) > 0] == ["a", "c", "d"]


def test_revocations_are_forgotten_in_bounded_steps():
    revocations = Revocations()
    for number in range(5):
        revocations.note(f"user_{number}", NOW + number)
    assert revocations.forget(NOW + KEPT - 1, 10) == 0
    assert revocations.forget(NOW + KEPT + 3, 3) == 3
    assert revocations.forget(NOW + KEPT + 3, 10) == 1
    assert (revocations.at("user_3"), revocations.at("user_4")) == (-inf, NOW + 4)
