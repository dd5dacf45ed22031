import json

from cometify.core.webhook_events import MOST_IN_BATCH, MOST_WAITING, Report, WebhookQueue

NOW = 1_764_000_000_000_000
SECOND = 1_000_000


def events(taken):
    return json.loads(taken.batch.body)


def begun():
    """A queue that has told its beginning."""
    queue = WebhookQueue(NOW)
    queue.done(queue.take(NOW).batch.id, given_up=False)
    return queue


def test_first_event_says_that_nothing_is_known():
    assert events(WebhookQueue(NOW).take(NOW)) == [{"type": "reset", "id": NOW, "time": NOW // SECOND}]


def test_batch_stays_as_it_is_until_it_is_done():
    queue = begun()
    queue.report(Report(come=("chat",)), NOW)
    first = queue.take(NOW)
    queue.report(Report(gone=("chat",)), NOW)
    again = queue.take(NOW + 7 * SECOND)
    assert (again.batch.body, again.batch.id) == (first.batch.body, first.batch.id)
    assert (first.batch.age, again.batch.age) == (0, 7)
    queue.done(first.batch.id, given_up=False)
    assert [event["type"] for event in events(queue.take(NOW))] == ["vacated"]


def test_done_with_another_batch_changes_nothing():
    queue = begun()
    queue.report(Report(come=("chat",)), NOW)
    batch = queue.take(NOW).batch
    queue.done(batch.id - 1, given_up=True)
    assert queue.take(NOW).batch == batch
    queue.done(batch.id, given_up=False)
    queue.done(batch.id, given_up=True)
    assert queue.take(NOW).batch is None


def test_refusals_are_summed_up_for_a_minute():
    queue = begun()
    queue.report(Report(refused={"not_authorized": 2}), NOW)
    queue.report(Report(refused={"not_authorized": 1, "invalid_token": 1}), NOW + 50 * SECOND)
    assert queue.take(NOW + 59 * SECOND).batch is None
    (event,) = events(queue.take(NOW + 60 * SECOND))
    assert event["type"] == "refused"
    assert event["codes"] == {"invalid_token": 1, "not_authorized": 3}
    queue.done(event["id"], given_up=False)
    assert queue.take(NOW + 200 * SECOND).batch is None


def test_oldest_events_are_dropped_and_told():
    queue = begun()
    queue.report(Report(come=tuple(f"n{number}" for number in range(MOST_WAITING + 7))), NOW)
    taken = queue.take(NOW)
    dropped, first, *rest = events(taken)
    assert (dropped["type"], dropped["count"]) == ("dropped", 7)
    assert first["identifier"] == "n7"
    assert dropped["id"] < first["id"]
    assert len(rest) == MOST_IN_BATCH - 2
    assert taken.dropped == 7
    assert queue.take(NOW).dropped == 0


def test_events_of_a_batch_given_up_count_as_dropped():
    queue = begun()
    queue.report(Report(come=("a", "b")), NOW)
    given_up = queue.take(NOW).batch
    queue.report(Report(come=("c",)), NOW)
    queue.done(given_up.id, given_up=True)
    taken = queue.take(NOW)
    dropped, event = events(taken)
    assert dropped == {"type": "dropped", "id": given_up.id, "time": NOW // SECOND, "count": 2}
    assert event["identifier"] == "c"
    queue.done(taken.batch.id, given_up=True)
    (alone,) = events(queue.take(NOW))
    assert alone["count"] == 3


def test_ids_grow_although_the_clock_stands_still():
    queue = begun()
    for number in range(3):
        queue.report(Report(come=(f"n{number}",)), NOW - number)
    ids = [event["id"] for event in events(queue.take(NOW))]
    assert ids == [NOW + 1, NOW + 2, NOW + 3]


def test_dead_receiver_costs_bounded_memory():
    queue = begun()
    for minute in range(60):
        queue.report(Report(come=tuple(f"n{minute}_{number}" for number in range(1_000))), NOW + minute)
        batch = queue.take(NOW + minute).batch
        if minute % 5 == 4:
            queue.done(batch.id, given_up=True)
    assert MOST_WAITING - MOST_IN_BATCH < queue.take(NOW).waiting <= MOST_WAITING
    total = 0
    while (batch := queue.take(NOW).batch) is not None:
        for event in json.loads(batch.body):
            total += event.get("count", 1)
        queue.done(batch.id, given_up=False)
    assert total == 60_000
