"""The listeners' cursors go by the rules that `docs/protocol.md` gives its clients."""

import pytest

from bench.rig.client import Goodbye, Group, Page, Refused


def page(*names, right=False):
    return Page("somebody-1", [Group(tuple(one.split(",")), right) for one in names])


def ready(*positions):
    return {"type": "ready", "heartbeat": 1, "secret": [], "warnings": [], "positions": list(positions)}


def push(identifier, position):
    return {"type": "push", "identifier": identifier, "push_id": None, "text": str(position), "position": position}


def heartbeat(position):
    return {"type": "heartbeat", "position": position}


def asked(one):
    return [group.get("position") for group in one.listen()["groups"]]


def test_the_first_ready_says_where_each_group_begins_and_a_later_one_does_not():
    one = page("alpha", "beta")
    assert asked(one) == [None, None]
    one.take(ready(10, 20))
    one.take(ready(99, 99))
    assert asked(one) == [10, 20]
    assert one.diary.begins == {"alpha": 10, "beta": 20}


def test_a_push_moves_the_groups_that_hold_its_identifier():
    one = page("alpha,beta", "gamma")
    one.take(ready(10, 20))
    one.take(push("beta", 30))
    assert asked(one) == [30, 20]


def test_a_heartbeat_moves_every_group_and_none_back():
    one = page("alpha", "beta")
    one.take(ready(10, 20))
    one.take(heartbeat(15))
    assert asked(one) == [15, 20]


def test_after_a_gap_the_next_position_is_taken_though_it_is_lower():
    one = page("alpha", "beta")
    one.take(ready(100, 100))
    one.take({"type": "gap", "identifiers": ["alpha"]})
    one.take(heartbeat(50))
    assert asked(one) == [50, 100]
    one.take(heartbeat(40))
    assert asked(one) == [50, 100]


def test_a_push_that_was_had_is_written_down_and_moves_nothing():
    one = page("alpha")
    one.take(ready(10))
    one.take(push("alpha", 30))
    one.take(push("alpha", 20))
    assert asked(one) == [30]
    assert [entry.position for entry in one.diary.entries] == [30, 20]


def test_a_key_is_made_for_exactly_the_names_of_the_group():
    (group,) = page("alpha,beta", right=True).listen()["groups"]
    assert group["identifiers"] == ["alpha", "beta"]
    assert len(group["secureKey"]) == 32


def test_an_error_and_a_goodbye_end_the_connection():
    one = page("alpha")
    with pytest.raises(Refused) as refused:
        one.take({"type": "error", "code": "replaced", "detail": "It listens elsewhere.", "retry": None})
    assert not refused.value.retry
    with pytest.raises(Goodbye) as goodbye:
        one.take({"type": "reconnect", "after": 500})
    assert goodbye.value.after == 0.5


def test_a_frame_that_nobody_knows_is_remarked():
    one = page("alpha")
    one.take({"type": "surprise"})
    assert one.diary.remarks
