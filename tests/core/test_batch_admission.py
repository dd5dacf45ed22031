"""Admission of a batch, at once and in steps."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.batch_admission import MAX_BATCH, admit_batch, admit_in_steps
from cometify.core.hmac_signature import note_nonce
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from tests.samples import JSON, refusal

NONCE = "0123456789abcdef"
ACCOUNT = Account("37282591", ("dj28DNam!!nx72*",))
BATCHED = {"identifier": "chat", "text": "x", "secret": 0}
NAMES = ("identifier", "text", "secret", "push_id", "secure", "data", "event", "except")


def admitted_batch(*pushes):
    """Admit a batch, whose request was signed with HMAC."""
    return admit_batch(pushes, partial(note_nonce, NONCE), ACCOUNT)


def test_batch_is_drafts_in_order_and_the_first_has_the_nonce():
    drafts = admitted_batch(
        {"identifier": "Chat", "text": "one", "secret": 0},
        {"identifier": "metrics", "text": "", "secret": "1", "push_id": "7", "secure": 1, "more": []},
        {"identifier": "chat", "text": "one", "secret": 0},
    )
    assert drafts == [
        Draft(Identifier("Chat", "chat"), "one", False, None, None, nonce=NONCE, cost=3),
        Draft(Identifier("metrics", "metrics"), "", True, 7, None, cost=0),
        Draft(Identifier("chat", "chat"), "one", False, None, None, cost=0),
    ]
    assert admitted_batch() == []


def test_batch_has_at_most_100_pushes():
    push = {"identifier": "chat", "text": "x", "secret": 0}
    assert len(admitted_batch(*[push] * MAX_BATCH)) == MAX_BATCH == 100
    refused = refusal(admitted_batch, *[push] * 101)
    assert refused.code is errors.INVALID_BODY
    assert "101 pushes" in refused.detail


@pytest.mark.parametrize(
    ("push", "code"),
    [
        (7, errors.INVALID_BODY),
        ({"text": "x", "secret": 0}, errors.MISSING_PARAMETER),
        ({"identifier": "7", "text": "x", "secret": 0}, errors.INVALID_IDENTIFIER),
        ({"identifier": "chat", "secret": 0}, errors.MISSING_PARAMETER),
        ({"identifier": "chat", "text": "\0", "secret": 0}, errors.INVALID_TEXT),
        ({"identifier": "chat", "text": "x" * 65_537, "secret": 0}, errors.TEXT_TOO_LONG),
        ({"identifier": "chat", "text": "x"}, errors.MISSING_PARAMETER),
        ({"identifier": "chat", "text": "x", "secret": 0, "push_id": -1}, errors.INVALID_PARAMETER),
    ],
)
def test_refusal_of_a_batch_names_the_push_by_its_number(push, code):
    refused = refusal(admitted_batch, {"identifier": "chat", "text": "x", "secret": 0}, push)
    assert refused.code is code
    assert refused.detail.startswith("Push 2 of the batch, nothing was pushed: ")


@given(st.lists(JSON | st.dictionaries(st.sampled_from(NAMES), JSON)))
def test_any_json_array_is_a_batch_or_refused(pushes):
    try:
        assert len(admitted_batch(*pushes)) == len(pushes)
    except errors.Refused as refused:
        assert refused.detail.encode()  # noqa: PT017


BATCHES = st.lists(
    st.fixed_dictionaries(
        {"identifier": st.sampled_from(["chat", "news", "a.b", 7])},
        optional={"text": st.text(max_size=3), "secret": st.sampled_from([0, "1", 2]), "data": st.just(None)},
    )
    | st.just(7)
    | st.just(BATCHED),
    max_size=4,
)


def drafts_of(read, pushes, key):
    """The drafts that a function reads, or the refusal."""
    try:
        return read([push if push == 7 else dict(push) for push in pushes], partial(note_nonce, NONCE), ACCOUNT, key)
    except errors.Refused as refused:
        return refused.code, refused.detail


def in_steps(pushes, *more):
    steps = admit_in_steps(pushes, *more)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            assert pushes == []
            return stop.value


@given(BATCHES | st.just([BATCHED] * (MAX_BATCH + 1)), st.sampled_from([None, "order-1", "ö"]))
def test_batch_is_admitted_in_steps_as_at_once(pushes, key):
    assert drafts_of(in_steps, pushes, key) == drafts_of(admit_batch, pushes, key)
