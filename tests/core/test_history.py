"""The ring of samples."""

from hypothesis import given
from hypothesis import strategies as st

from cometify.core.history import EVERY, SAMPLES, History

NOW = 1_800_000_000


def test_samples_are_told_in_order_with_their_time():
    history = History()
    for number, pushes in enumerate([4, 0, 9]):
        history.add(NOW + number * EVERY, {"pushes": pushes, "gaps": 0})
    assert history.since(0) == {"every": EVERY, "from": NOW, "samples": 3, "columns": {"pushes": [4, 0, 9]}}


def test_only_newer_samples_are_told():
    history = History()
    for number in range(4):
        history.add(NOW + number * EVERY, {"pushes": number})
    told = history.since(NOW + EVERY)
    assert (told["from"], told["columns"]) == (NOW + 2 * EVERY, {"pushes": [2, 3]})
    assert history.since(NOW + 3 * EVERY) == {"every": EVERY, "from": NOW + 4 * EVERY, "samples": 0, "columns": {}}


def test_nothing_was_sampled_yet():
    assert History().since(NOW) == {"every": EVERY, "from": 0, "samples": 0, "columns": {}}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_oldest_sample_gives_its_place_to_the_newest(figures):
    history = History(samples=7)
    for number, figure in enumerate([1, *figures]):
        history.add(NOW + number * EVERY, {"pushes": figure})
    kept = [1, *figures][-7:]
    told = history.since(0)
    assert told["samples"] == len(kept)
    assert told["from"] == NOW + (len(figures) + 1 - len(kept)) * EVERY
    assert told["columns"] == ({"pushes": kept} if any(kept) else {})


def test_late_timer_leaves_no_hole():
    history = History()
    for late in (4.9, 5.1, 4.9, 10.0):
        history.add(NOW + late, {"pushes": 2})
    assert history.since(0)["columns"] == {"pushes": [2, 2, 2, 2]}


def test_time_in_which_the_process_was_stopped_has_zeros():
    history = History(samples=7)
    for number in (0, 1, 2, 6):
        history.add(NOW + number * EVERY, {"listeners": 5})
    assert history.since(0)["columns"] == {"listeners": [5, 5, 5, 0, 0, 0, 5]}


def test_clock_that_was_set_back_begins_again():
    history = History()
    history.add(NOW, {"pushes": 1})
    history.add(NOW - 3600, {"pushes": 2})
    told = history.since(0)
    assert (told["from"], told["columns"]) == (NOW - 3600, {"pushes": [2]})


def test_process_that_was_stopped_for_long_begins_again():
    history = History()
    history.add(NOW, {"pushes": 1})
    history.add(NOW + EVERY * (SAMPLES + 1), {"pushes": 2})
    assert history.since(0)["columns"] == {"pushes": [2]}


def test_memory_does_not_grow_with_time():
    history = History()
    for number in range(3 * SAMPLES):
        history.add(NOW + number * EVERY, {"pushes": 2**40, "gaps": 1, "joined": 0})
    assert history.size == 2 * 4 * SAMPLES
    assert max(history.since(0)["columns"]["pushes"]) == 2**32 - 1


def test_sums_are_those_of_the_last_samples():
    history = History(samples=4)
    assert history.sums(3) == {}
    for number, pushes in enumerate([9, 1, 0, 2, 4]):
        history.add(NOW + number * EVERY, {"pushes": pushes, "gaps": number == 0})
    assert history.sums(3) == {"pushes": 6}
    assert history.sums(100) == {"pushes": 7}
