"""What is planted in a diary is found: a checker that cannot fail says nothing."""

import pytest

from bench.campaigns.faults.checker import Acknowledged, Diary, Gap, Got, compare

ALL = [
    Acknowledged("alpha", "a1", False, 10),
    Acknowledged("beta", "b1", False, 20),
    Acknowledged("alpha", "a2", True, 30),
    Acknowledged("beta", "b2", True, 40),
    Acknowledged("alpha", "a3", False, 50),
]
KINDS = ("lost", "doubled", "disordered", "other", "gaps")


def got(text):
    push = next(push for push in ALL if push.text == text)
    return Got(push.identifier, push.text, push.position)


def diary(*entries, begins=5, **more):
    rights = {"alpha": True, "beta": False}
    written = [entry if isinstance(entry, (Gap, Got, int)) else got(entry) for entry in entries]
    return Diary("anna", rights, dict.fromkeys(rights, begins), written, **more)


def found(one, acknowledged=ALL):
    findings = compare(acknowledged, one)
    return {kind: len(getattr(findings, kind)) for kind in KINDS if getattr(findings, kind)}


def test_a_diary_with_all_that_it_may_have_is_right():
    one = diary("a1", 10, "b1", 25, "a2", "a3", 60)
    assert found(one) == {}
    assert compare(ALL, one).got == 4


@pytest.mark.parametrize("text", ["a1", "b1", "a2", "a3"])
def test_one_that_is_missing_is_lost(text):
    assert found(diary(*[other for other in ("a1", "b1", "a2", "a3") if other != text])) == {"lost": 1}


@pytest.mark.parametrize("text", ["a1", "b1", "a2", "a3"])
def test_one_that_comes_at_once_again_is_doubled(text):
    entries = [one for other in ("a1", "b1", "a2", "a3") for one in ([other, other] if other == text else [other])]
    assert found(diary(*entries)) == {"doubled": 1}


def test_one_that_comes_again_later_is_doubled():
    assert found(diary("a1", "b1", "a2", "a1", "a3")) == {"doubled": 1}


def test_one_that_came_before_the_page_was_turned_is_doubled():
    one = diary("a1", "b1", "a2", 45)
    assert found(one, ALL[:4]) == {}
    one.turn_page()
    one.entries += [got("a2"), got("a3")]
    assert found(one, ALL[4:]) == {"doubled": 1}


def test_one_under_another_position_is_found():
    assert found(diary("a1", "b1", Got("alpha", "a2", 31), "a3")) == {"other": 1}


def test_two_in_the_wrong_order_are_disordered():
    assert found(diary("b1", "a1", "a2", "a3")) == {"disordered": 1}


def test_one_below_a_heartbeat_is_disordered():
    assert found(diary("a1", 35, "b1", "a2", "a3")) == {"disordered": 2}


def test_one_below_what_was_told_before_the_page_was_turned_is_disordered():
    one = diary("a1", 15, 35)
    one.turn_page()
    one.entries += [got("a2"), got("a3")]
    assert found(one, ALL[2:]) == {"disordered": 1}


def test_a_heartbeat_that_goes_back_is_disordered():
    assert found(diary("a1", "b1", "a2", "a3", 60, 55)) == {"disordered": 1}


def test_one_that_nobody_pushed_is_found():
    assert found(diary("a1", "b1", "a2", Got("alpha", "forged", 45), "a3")) == {"other": 1}


def test_one_of_another_identifier_is_found():
    assert found(diary("a1", Got("alpha", "b1", 20), "a2", "a3")) == {"other": 1}


def test_a_secret_one_without_the_right_is_found():
    assert found(diary("a1", "b1", "a2", "b2", "a3")) == {"other": 1}


def test_what_was_pushed_before_it_joined_is_not_lost():
    assert found(diary("a2", "a3", begins=25)) == {}


def test_one_that_never_joined_has_lost_all_that_it_may_see():
    one = diary()
    one.begins.clear()
    assert found(one) == {"lost": 4}


def test_a_remark_is_told():
    assert found(diary("a1", "b1", "a2", "a3", remarks=["sent away"])) == {"other": 1}


class TestGaps:
    def test_a_gap_is_a_fault_where_none_may_be_told(self):
        findings = compare(ALL, diary("a1", "b1", Gap(("alpha",)), "a2", "a3"))
        assert len(findings.wrong()) == 1
        assert findings.wrong(gaps_allowed=True) == []

    def test_what_is_missing_at_a_gap_was_told(self):
        findings = compare(ALL, diary("a1", "b1", Gap(("alpha",)), "a3"))
        assert findings.wrong(gaps_allowed=True) == []
        assert findings.missed == 1

    def test_what_is_missing_to_the_end_after_a_gap_was_told(self):
        assert compare(ALL, diary("a1", "b1", Gap(("alpha",)))).wrong(gaps_allowed=True) == []

    @pytest.mark.parametrize(
        "entries",
        [
            ("b1", "a2", Gap(("alpha",)), "a3"),  # too late for a1
            (Gap(("alpha",)), "a1", "b1", "a3"),  # too early for a2
            ("a1", "b1", Gap(("beta",)), "a3"),  # of another identifier
        ],
    )
    def test_a_gap_elsewhere_explains_nothing(self, entries):
        findings = compare(ALL, diary(*entries))
        assert (len(findings.lost), findings.missed) == (1, 0)

    def test_a_gap_explains_no_double_and_no_disorder(self):
        assert found(diary("a1", Gap(("alpha", "beta")), "a1", "a2", "b1", "a3")) == {
            "gaps": 1, "doubled": 1, "disordered": 1,
        }  # fmt: skip

    def test_who_must_be_told_and_is_not_is_found(self):
        assert len(diary("a1", Gap(("beta",))).untold()) == 1
        assert diary(Gap(("beta",)), Gap(("alpha",))).untold() == []
