from cometify.core.webhook_changes import LINGER, MOST_IN_REPORT, NodeChanges
from cometify.core.webhook_events import Report


def reported(changes, now=0.0):
    """The next report, which is answered."""
    report = changes.report(now)
    if report is not None:
        changes.answered(is_known=True)
    return report


def test_nothing_to_report():
    assert NodeChanges().report(0) is None


def test_first_listener_is_reported_once():
    changes = NodeChanges()
    changes.occupied("chat")
    assert changes.again
    assert reported(changes) == Report(("chat",))
    assert not changes.again
    assert changes.has_reported
    changes.occupied("chat")
    assert changes.report(1) is None


def test_last_listener_is_reported_after_a_while():
    changes = NodeChanges()
    changes.occupied("chat")
    reported(changes)
    changes.vacated("chat", 1)
    assert changes.report(1 + LINGER - 0.1) is None
    assert reported(changes, 1 + LINGER) == Report((), ("chat",))
    assert not changes.has_reported


def test_return_in_time_is_not_reported():
    changes = NodeChanges()
    changes.occupied("chat")
    reported(changes)
    changes.vacated("chat", 1)
    changes.occupied("chat")
    assert changes.report(100) is None


def test_last_departure_counts():
    changes = NodeChanges()
    changes.occupied("chat")
    changes.occupied("news")
    reported(changes)
    changes.vacated("chat", 1)
    changes.vacated("news", 2)
    changes.occupied("chat")
    changes.vacated("chat", 3)
    assert reported(changes, 2 + LINGER) == Report((), ("news",))
    assert reported(changes, 3 + LINGER) == Report((), ("chat",))


def test_short_visit_is_reported():
    changes = NodeChanges()
    changes.occupied("chat")
    changes.vacated("chat", 0)
    assert reported(changes, 1) == Report(("chat",))
    assert reported(changes, LINGER) == Report((), ("chat",))


def test_departure_of_unknown_listeners_is_not_reported():
    changes = NodeChanges()
    changes.vacated("chat", 0)
    assert changes.report(LINGER) is None


def test_report_is_bounded_and_others_follow():
    changes = NodeChanges()
    names = [f"n{number}" for number in range(2 * MOST_IN_REPORT)]
    for name in names:
        changes.occupied(name)
    changes.vacated(names[0], 0)
    changes.vacated(names[-1], 0)
    assert reported(changes, LINGER) == Report(tuple(names[:MOST_IN_REPORT]))
    assert reported(changes, LINGER) == Report(tuple(names[MOST_IN_REPORT:]))
    assert reported(changes, LINGER) == Report((), (names[0], names[-1]))


def test_report_without_an_answer_is_made_again():
    changes = NodeChanges()
    changes.occupied("chat")
    changes.refused({"not_authorized": 1})
    report = changes.report(0)
    changes.occupied("news")
    changes.refused({"not_authorized": 1})
    assert changes.report(1) is report
    changes.answered(is_known=True)
    assert reported(changes) == Report(("news",), (), {"not_authorized": 1})


def test_everything_is_reported_again_to_an_engine_that_forgot():
    changes = NodeChanges()
    for name in ("a", "b", "c"):
        changes.occupied(name)
    reported(changes)
    changes.vacated("b", 0)
    changes.occupied("d")
    changes.refused({"invalid_token": 2})
    changes.report(1)
    changes.answered(is_known=False)
    assert changes.again
    assert reported(changes, 1) == Report(("a", "b", "c", "d"), (), {"invalid_token": 2})
    assert reported(changes, LINGER) == Report((), ("b",))


def test_engine_that_forgot_answers_though_nothing_was_reported():
    changes = NodeChanges()
    changes.occupied("a")
    reported(changes)
    changes.answered(is_known=False)
    assert reported(changes) == Report(("a",))


def test_forgetting_is_noticed_without_a_report():
    changes = NodeChanges()
    changes.occupied("a")
    reported(changes)
    changes.forgotten()
    assert changes.again
    assert reported(changes) == Report(("a",))
