"""The counts of accounts: they take memory for accounts alone, and tell the most listeners at once."""

import pytest

from cometify.core.errors import NOT_AUTHORIZED, TOO_MANY_PUSHES, Refused
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from cometify.core.usage import Usage

ACCOUNTS = {"37282591": object(), "2": object()}


@pytest.fixture
def usage():
    return Usage(ACCOUNTS.get)


def test_each_refusal_is_noted_with_the_api_key_of_an_account_alone(usage):
    noted = []
    usage.noted = lambda api_key, refused: noted.append((api_key, refused.code.name))
    for api_key in ("2", "made_up"):
        usage.refuse(api_key, Refused(NOT_AUTHORIZED, "x"))
    assert noted == [("2", "not_authorized"), (None, "not_authorized")]


def taken(usage):
    """All that has come, in a round of steps."""
    usage.begin_round()
    found = {}
    while step := usage.take(1):
        assert len(step) == 1
        found.update(step)
    return found


def test_made_up_api_keys_take_no_memory(usage):
    for number in range(1000):
        usage.refuse(f"made_up_{number}", Refused(NOT_AUTHORIZED, "x"))
    assert usage.figures() == {}


def test_refusals_are_counted_by_account_and_code(usage):
    for api_key, code in (
        ("2", NOT_AUTHORIZED),
        ("2", NOT_AUTHORIZED),
        ("2", TOO_MANY_PUSHES),
        ("37282591", NOT_AUTHORIZED),
    ):
        usage.refuse(api_key, Refused(code, "x"))
    assert {key: dict(counts.refused) for key, counts in usage.figures().items()} == {
        "2": {"not_authorized": 2, "too_many_pushes": 1},
        "37282591": {"not_authorized": 1},
    }


def test_each_take_has_what_came_since_the_last_one(usage):
    counts = usage.of("2")
    counts.pushed(10)
    counts.entered()
    counts.entered()
    counts.listeners -= 1
    usage.refuse("2", Refused(NOT_AUTHORIZED, "x"))
    first = taken(usage)["2"]
    assert (first.figures["pushes"], first.figures["push_bytes"], first.most_listeners) == (1, 10, 2)
    assert first.refused == {"not_authorized": 1}
    counts.pushed(5)
    second = taken(usage)["2"]
    assert (second.figures["pushes"], second.figures["push_bytes"]) == (1, 5)
    assert (second.most_listeners, second.refused) == (1, {}), "the listener that is still there"
    counts.listeners -= 1
    assert taken(usage)["2"].most_listeners == 1, "it was there at the beginning of the time"
    assert taken(usage) == {}, "nothing has come"
    assert (counts.pushes, counts.push_bytes) == (2, 15), "counts only grow"


def test_removed_account_is_forgotten_once_its_listeners_are_gone():
    accounts = {"2": object()}
    usage = Usage(accounts.get)
    usage.of("2").entered()
    accounts.clear()
    assert taken(usage).keys() == usage.figures().keys() == {"2"}
    usage.of("2").listeners -= 1
    assert taken(usage)["2"].most_listeners == 1
    assert usage.figures() == {}


@pytest.mark.parametrize(
    ("text", "data", "size"), [("abc", None, 3), ("é€", None, 5), ("", '{"é":1}', 8), ("", None, 0)]
)
def test_size_of_a_draft_is_its_bytes_of_utf8(text, data, size):
    assert Draft(Identifier.read("chat"), text, False, None, None, data=data).size == size


def test_round_is_made_in_bounded_steps_and_passes_over_the_idle():
    accounts = {str(number): object() for number in range(50)}
    usage = Usage(accounts.get)
    for number in range(50):
        usage.of(str(number))
    for number in range(0, 50, 5):
        usage.of(str(number)).pushed(1)
    usage.begin_round()
    steps = [list(usage.take(4)) for _ in range(4)]
    assert steps == [["0", "5", "10", "15"], ["20", "25", "30", "35"], ["40", "45"], []]
    usage.begin_round()
    accounts.clear()
    assert usage.take(4) == usage.figures() == {}
    assert usage.take(4) == {}


def test_account_that_comes_during_a_round_waits_for_the_next(usage):
    usage.of("2").pushed(1)
    usage.begin_round()
    usage.of("37282591").pushed(1)
    assert list(usage.take(5)) == ["2"]
    usage.begin_round()
    assert list(usage.take(5)) == ["37282591"]


def test_peak_is_the_most_listeners_at_once(usage):
    counts = usage.of("2")
    counts.entered()
    counts.entered()
    counts.listeners -= 2
    counts.entered()
    assert (counts.joins, counts.listeners, counts.peak) == (3, 1, 2)
