"""The decisions of a call: its tries, its pauses, its deadline and its doubt. The test is the network and the clock."""

import json
from dataclasses import replace

import pytest

from cometify.client import CometifyError, MaybePushed, Push, calls
from cometify.client.address import read_url
from cometify.client.tries import Answer, NoAnswer, Request, Wait, tries

ADDRESS = read_url("https://k:s@push.example.org")
PUSH = Push("chat", "Hello world!")
PUSHED = Answer(200, {}, b'{"identifier":"chat","push_id":null,"position":5,"listeners":0}')
REFUSED_CONNECTION = NoAnswer("Connection refused", sent=False)
LOST = NoAnswer("no answer in time", sent=True)
STALE = NoAnswer("Connection reset by peer", sent=True, again="now")


FOREIGN = Answer(404, {}, b"<h1>Not Found</h1>")
THROTTLED = Answer(429, {"retry-after": "0"}, b"<h1>Too Many Requests</h1>")


def refused(status, code, **headers):
    return Answer(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps({"code": code}).encode()
    )


class Course:
    """Runs a call. `replies`: to its requests; the last one is repeated. `costs`: the seconds that each exchange takes."""

    def __init__(self, *replies, costs=0.0, timeout=2.0, call=None):
        self.replies, self.costs, self.now = list(replies), costs, 100.0
        self.requests, self.waits = [], []
        self._steps = tries(call or calls.push(PUSH, "key"), ADDRESS, timeout, lambda: self.now)

    def run(self):
        reply = None
        while True:
            try:
                step = self._steps.send(reply)
            except StopIteration as end:
                return end.value
            if isinstance(step, Wait):
                self.waits.append(step.seconds)
                self.now += step.seconds
                reply = None
            else:
                assert isinstance(step, Request)
                self.requests.append(step)
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                self.now += step.timeout if reply is LOST else self.costs

    def failed(self):
        with pytest.raises(CometifyError) as caught:
            self.run()
        return caught.value

    @property
    def lasted(self):
        return self.now - 100.0


def test_try_gets_half_of_the_time_that_is_left():
    course = Course(LOST)
    assert type(course.failed()) is MaybePushed
    first, second, *others = [request.timeout for request in course.requests]
    assert first == 1.0
    assert 0.45 < second < 0.5
    assert others
    assert course.lasted <= 2.0


@pytest.mark.parametrize("reply", [LOST, REFUSED_CONNECTION, STALE, refused(500, "a"), refused(503, "draining")])
@pytest.mark.parametrize("timeout", [0.01, 0.3, 2.0, 30.0])
@pytest.mark.parametrize("costs", [0.0, 0.004])
def test_call_never_outlasts_its_deadline(reply, timeout, costs):
    course = Course(reply, timeout=timeout, costs=costs)
    course.failed()
    assert course.lasted <= timeout + costs + 1e-6


def test_pauses_grow_and_stay_bounded():
    course = Course(REFUSED_CONNECTION, timeout=30)
    course.failed()
    bounds = [0.05, 0.1, 0.2, 0.4, 0.8] + [1.0] * 40
    assert len(course.waits) > 10
    for seconds, most in zip(course.waits, bounds, strict=False):
        assert most / 2 <= seconds <= most


def test_idle_connection_that_ended_is_replaced_without_a_pause():
    course = Course(STALE, PUSHED)
    assert course.run().position == 5
    assert course.waits == []


def test_connections_that_always_end_are_not_retried_without_a_pause():
    course = Course(STALE)
    course.failed()
    assert len(course.requests) - len(course.waits) == 2


def test_time_that_the_server_asks_for_is_waited():
    course = Course(refused(503, "overloaded", retry_after="1"), PUSHED)
    course.run()
    assert course.waits == [1.0]


@pytest.mark.parametrize("status", [429, 503])
def test_wait_that_does_not_fit_the_deadline_ends_the_call(status):
    course = Course(refused(status, "overloaded", retry_after="2"))
    error = course.failed()
    assert (error.status, error.retry_after) == (status, 2)
    assert (len(course.requests), course.waits) == (1, [])


@pytest.mark.parametrize("value", ["", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 30, "²"])
def test_wait_that_cannot_be_read_is_as_if_none_was_given(value):
    course = Course(refused(503, "overloaded", retry_after=value), PUSHED)
    course.run()
    assert course.waits[0] <= 0.05
    assert Course(refused(429, "too_many_pushes", retry_after=value)).failed().retry_after is None


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ([LOST, REFUSED_CONNECTION], MaybePushed),
        ([LOST, refused(503, "overloaded")], MaybePushed),
        ([refused(503, "engine_unavailable"), refused(503, "draining")], MaybePushed),
        ([refused(500, "a"), REFUSED_CONNECTION], MaybePushed),
        ([REFUSED_CONNECTION, LOST], MaybePushed),
        ([LOST, refused(400, "invalid_text")], CometifyError),
        ([LOST, refused(409, "idempotency_mismatch")], CometifyError),
        ([LOST, FOREIGN], MaybePushed),
        ([LOST, Answer(301, {}, b"")], MaybePushed),
        ([LOST, Answer(403, {}, b'{"error":"forbidden"}')], MaybePushed),
        ([LOST, THROTTLED, FOREIGN], MaybePushed),
        ([LOST, THROTTLED, refused(403, "not_authorized")], CometifyError),
        ([FOREIGN], CometifyError),
        ([REFUSED_CONNECTION, refused(503, "overloaded")], CometifyError),
    ],
)
def test_doubt_lasts_until_the_server_has_looked_at_the_push(replies, kind):
    assert type(Course(*replies).failed()) is kind


def test_failure_that_lasts_is_not_tried_again():
    course = Course(NoAnswer("its certificate is not accepted", sent=False, again="never"))
    assert course.failed().code == "unreachable"
    assert len(course.requests) == 1


def test_request_shows_no_secret_and_no_text():
    course = Course(PUSHED, call=calls.push(Push("chat", "my text"), None))
    course.run()
    (request,) = course.requests
    assert request.headers["Cometify-Signature"] not in repr(request)
    assert "my text" not in repr(request) + repr(calls.push(Push("chat", "my text"), None))


def test_signature_can_have_an_earlier_time():
    call = replace(calls.push(Push("chat", "Hi"), None), timestamp=1_764_000_000)
    steps = tries(call, ADDRESS, 60)
    assert next(steps).headers["Cometify-Timestamp"] == "1764000000"
