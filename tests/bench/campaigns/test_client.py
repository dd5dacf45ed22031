"""The cursors of the test client follow the rules that `docs/protocol.md` gives to clients."""

import pytest

from bench.rig.client import Client, Group, ReconnectRequested, Refused


def client_of(*names, right=False):
    return Client("somebody-1", [Group(tuple(one.split(",")), right) for one in names])


def ready(*positions):
    return {"type": "ready", "heartbeat": 1, "secret": [], "warnings": [], "positions": list(positions)}


def push(identifier, position):
    return {"type": "push", "identifier": identifier, "push_id": None, "text": str(position), "position": position}


def heartbeat(position):
    return {"type": "heartbeat", "position": position}


def asked(one):
    return [group.get("position") for group in one.listen_frame()["groups"]]


def test_only_first_ready_sets_cursors():
    one = client_of("alpha", "beta")
    assert asked(one) == [None, None]
    one.receive(ready(10, 20))
    one.receive(ready(99, 99))
    assert asked(one) == [10, 20]
    assert one.history.joined_at == {"alpha": 10, "beta": 20}


def test_push_advances_groups_with_its_identifier():
    one = client_of("alpha,beta", "gamma")
    one.receive(ready(10, 20))
    one.receive(push("beta", 30))
    assert asked(one) == [30, 20]


def test_heartbeat_advances_every_group_and_none_back():
    one = client_of("alpha", "beta")
    one.receive(ready(10, 20))
    one.receive(heartbeat(15))
    assert asked(one) == [15, 20]


def test_after_a_gap_a_lower_position_is_taken():
    one = client_of("alpha", "beta")
    one.receive(ready(100, 100))
    one.receive({"type": "gap", "identifiers": ["alpha"]})
    one.receive(heartbeat(50))
    assert asked(one) == [50, 100]
    one.receive(heartbeat(40))
    assert asked(one) == [50, 100]


def test_repeated_push_is_recorded_and_moves_no_cursor():
    one = client_of("alpha")
    one.receive(ready(10))
    one.receive(push("alpha", 30))
    one.receive(push("alpha", 20))
    assert asked(one) == [30]
    assert [entry.position for entry in one.history.entries] == [30, 20]


def test_key_is_made_for_the_names_of_the_group():
    (group,) = client_of("alpha,beta", right=True).listen_frame()["groups"]
    assert group["identifiers"] == ["alpha", "beta"]
    assert len(group["secureKey"]) == 32


def test_error_and_reconnect_end_the_connection():
    one = client_of("alpha")
    with pytest.raises(Refused) as refused:
        one.receive({"type": "error", "code": "replaced", "detail": "It listens elsewhere.", "retry": None})
    assert not refused.value.retry
    with pytest.raises(ReconnectRequested) as request:
        one.receive({"type": "reconnect", "after": 500})
    assert request.value.after == 0.5


def test_unknown_frame_is_remarked():
    one = client_of("alpha")
    one.receive({"type": "surprise"})
    assert one.history.remarks
