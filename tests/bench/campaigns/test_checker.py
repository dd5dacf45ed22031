"""Faults planted in a history are found, because a checker that cannot fail proves nothing."""

import pytest

from bench.campaigns.faults.checker import Acknowledged, check
from bench.rig.history import Gap, History, Received

ALL = [
    Acknowledged("alpha", "a1", False, 10),
    Acknowledged("beta", "b1", False, 20),
    Acknowledged("alpha", "a2", True, 30),
    Acknowledged("beta", "b2", True, 40),
    Acknowledged("alpha", "a3", False, 50),
]
KINDS = ("lost", "doubled", "disordered", "other", "gaps")


def received(text):
    push = next(push for push in ALL if push.text == text)
    return Received(push.identifier, push.text, push.position)


def history(*entries, joined_at=5, **more):
    rights = {"alpha": True, "beta": False}
    written = [entry if isinstance(entry, (Gap, Received, int)) else received(entry) for entry in entries]
    return History("anna", rights, dict.fromkeys(rights, joined_at), written, **more)


def found(one, acknowledged=ALL):
    findings = check(acknowledged, one)
    return {kind: len(getattr(findings, kind)) for kind in KINDS if getattr(findings, kind)}


def test_complete_history_has_no_finding():
    one = history("a1", 10, "b1", 25, "a2", "a3", 60)
    assert found(one) == {}
    assert check(ALL, one).received == 4


@pytest.mark.parametrize("text", ["a1", "b1", "a2", "a3"])
def test_missing_push_is_lost(text):
    assert found(history(*[other for other in ("a1", "b1", "a2", "a3") if other != text])) == {"lost": 1}


@pytest.mark.parametrize("text", ["a1", "b1", "a2", "a3"])
def test_push_repeated_at_once_is_doubled(text):
    entries = [one for other in ("a1", "b1", "a2", "a3") for one in ([other, other] if other == text else [other])]
    assert found(history(*entries)) == {"doubled": 1}


def test_push_repeated_later_is_doubled():
    assert found(history("a1", "b1", "a2", "a1", "a3")) == {"doubled": 1}


def test_push_repeated_after_a_check_is_doubled():
    one = history("a1", "b1", "a2", 45)
    assert found(one, ALL[:4]) == {}
    one.forget_checked()
    one.entries += [received("a2"), received("a3")]
    assert found(one, ALL[4:]) == {"doubled": 1}


def test_push_at_another_position_is_found():
    assert found(history("a1", "b1", Received("alpha", "a2", 31), "a3")) == {"other": 1}


def test_pushes_in_wrong_order_are_disordered():
    assert found(history("b1", "a1", "a2", "a3")) == {"disordered": 1}


def test_push_below_a_heartbeat_is_disordered():
    assert found(history("a1", 35, "b1", "a2", "a3")) == {"disordered": 2}


def test_push_below_highest_of_last_check_is_disordered():
    one = history("a1", 15, 35)
    one.forget_checked()
    one.entries += [received("a2"), received("a3")]
    assert found(one, ALL[2:]) == {"disordered": 1}


def test_heartbeat_that_goes_back_is_disordered():
    assert found(history("a1", "b1", "a2", "a3", 60, 55)) == {"disordered": 1}


def test_push_that_was_never_pushed_is_found():
    assert found(history("a1", "b1", "a2", Received("alpha", "forged", 45), "a3")) == {"other": 1}


def test_push_of_another_identifier_is_found():
    assert found(history("a1", Received("alpha", "b1", 20), "a2", "a3")) == {"other": 1}


def test_secret_push_without_right_is_found():
    assert found(history("a1", "b1", "a2", "b2", "a3")) == {"other": 1}


def test_push_from_before_joining_is_not_lost():
    assert found(history("a2", "a3", joined_at=25)) == {}


def test_listener_that_never_joined_has_lost_all():
    one = history()
    one.joined_at.clear()
    assert found(one) == {"lost": 4}


def test_remark_is_a_finding():
    assert found(history("a1", "b1", "a2", "a3", remarks=["sent away"])) == {"other": 1}


class TestGaps:
    def test_gap_is_a_violation_unless_allowed(self):
        findings = check(ALL, history("a1", "b1", Gap(("alpha",)), "a2", "a3"))
        assert len(findings.violations()) == 1
        assert findings.violations(gaps_allowed=True) == []

    def test_push_missing_at_a_gap_is_not_lost(self):
        findings = check(ALL, history("a1", "b1", Gap(("alpha",)), "a3"))
        assert findings.violations(gaps_allowed=True) == []
        assert findings.missed == 1

    def test_pushes_missing_after_a_last_gap_are_not_lost(self):
        assert check(ALL, history("a1", "b1", Gap(("alpha",)))).violations(gaps_allowed=True) == []

    @pytest.mark.parametrize(
        "entries",
        [
            ("b1", "a2", Gap(("alpha",)), "a3"),  # It is too late for a1.
            (Gap(("alpha",)), "a1", "b1", "a3"),  # It is too early for a2.
            ("a1", "b1", Gap(("beta",)), "a3"),  # It is a gap of another identifier.
        ],
    )
    def test_gap_elsewhere_covers_no_loss(self, entries):
        findings = check(ALL, history(*entries))
        assert (len(findings.lost), findings.missed) == (1, 0)

    def test_gap_covers_neither_double_nor_disorder(self):
        assert found(history("a1", Gap(("alpha", "beta")), "a1", "a2", "b1", "a3")) == {
            "gaps": 1, "doubled": 1, "disordered": 1,
        }  # fmt: skip

    def test_gap_that_must_be_told_and_is_not_is_found(self):
        assert len(history("a1", Gap(("beta",))).missing_gaps()) == 1
        assert history(Gap(("beta",)), Gap(("alpha",))).missing_gaps() == []
