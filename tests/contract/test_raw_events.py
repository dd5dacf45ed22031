"""Section 3: event streams with `form=raw`, for pages that read no frames."""

import json

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, code_of
from tests.memory import World

PATH = f"/{API_KEY}/events?form=raw&identifiers="


def listen(world, identifiers="chat", **more):
    return world.request("GET", PATH + identifiers, **more)


def blocks(wire):
    """The blocks that have come since the last look, each as its lines."""
    assert wire.head[1]["content-type"] == "text/event-stream"
    parts = wire.body().decode().split("\n\n")
    assert parts.pop() == ""
    return [part.split("\n") for part in parts]


def test_push_is_an_event_with_the_name_of_its_identifier(world):
    wire = listen(world, "Chat,news")
    assert all(len(lines) == 1 and lines[0].startswith("id: ") for lines in blocks(wire))
    at = world.pushed("chat", "one\r\ntwo")
    then = world.pushed("NEWS", "three", push_id=3)
    assert blocks(wire) == [
        ["event: chat", "data: one", "data: two", f"id: {at}"],
        ["event: news", "data: three", f"id: {then}"],
    ]


def test_last_event_id_of_a_raw_stream_resumes(world):
    first = world.pushed("chat", "one")
    second = world.pushed("chat", "two")
    wire = listen(world, Last_Event_ID=str(first))
    assert blocks(wire)[1] == ["event: chat", "data: two", f"id: {second}"]
    again = listen(world, Last_Event_ID=str(second))
    assert [line for lines in blocks(again) for line in lines if not line.startswith("id: ")] == []


def test_gap_is_an_event_of_a_raw_stream(world):
    told = blocks(listen(world, Last_Event_ID=str(world.clock() + 10_000_000)))
    frame = json.dumps({"type": "gap", "identifiers": ["chat"]}, separators=(",", ":"))
    assert ["event: cometify:gap", f"data: {frame}"] in told


def test_heartbeat_of_a_raw_stream_is_an_id(world):
    wire = listen(world)
    blocks(wire)
    world.advance(25)
    (lines,) = blocks(wire)
    assert len(lines) == 1
    assert int(lines[0].removeprefix("id: ")) >= world.clock() - world.lag


def test_both_forms_are_served_beside_each_other(world):
    raw, framed = listen(world), world.request("GET", f"/{API_KEY}/events?identifiers=chat")
    blocks(raw)
    framed.frames()
    at = world.pushed("chat", "x")
    assert blocks(raw) == [["event: chat", "data: x", f"id: {at}"]]
    assert [frame["text"] for frame in framed.frames()] == ["x"]


def test_refusal_that_may_be_tried_again_is_an_event(engine):
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    listen(world)
    answer = listen(world).answer()
    retry, event, data, *_ = answer.body.decode().split("\n")
    assert (answer.status, retry, event) == (200, "retry: 10000", "event: cometify:error")
    assert json.loads(data.removeprefix("data: "))["code"] == "too_many_listeners"


def test_error_of_a_raw_stream_is_an_event(world):
    wire = listen(world)
    blocks(wire)
    world.server.change_accounts(Settings(()))
    world.settle()
    event, data = blocks_of_end(wire)
    assert event == "event: cometify:error"
    assert json.loads(data.removeprefix("data: "))["code"] == "not_authorized"


def blocks_of_end(wire):
    body = wire.body().decode().partition('{"type":"(end)"}')[0]
    return body.strip().split("\n\n")[-1].split("\n")


def test_http_1_0_gets_a_raw_stream_that_is_not_chunked(world):
    wire = world.connect()
    wire.receive(f"GET {PATH}chat HTTP/1.0\r\n\r\n".encode())
    at = world.pushed("chat", "x")
    assert "transfer-encoding" not in wire.head[1]
    assert blocks(wire)[-1] == ["event: chat", "data: x", f"id: {at}"]


@pytest.mark.parametrize("form", ["json", "RAW", "raw&form=raw"])
def test_other_form_is_refused(world, form):
    answer = world.request("GET", f"/{API_KEY}/events?identifiers=chat&form={form}").answer()
    assert answer.status == 400
    assert code_of(answer) in ("invalid_parameter", "repeated_parameter")
