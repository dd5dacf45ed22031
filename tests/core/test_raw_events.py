"""The raw form of an event stream, as a browser reads it."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from cometify.core import encodings, errors, frames
from cometify.core.identifier import Identifier
from cometify.core.push import Draft


def blocks(data):
    """What a browser makes of an event stream: (event, data, Last-Event-ID) of each event, by WHATWG HTML, 9.2.6."""
    found, last = [], ""
    for block in re.split(r"(?:\r\n|\r|\n){2}", data.decode())[:-1]:
        name, lines = "message", []
        for line in re.split(r"\r\n|\r|\n", block):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                lines.append(value)
            elif field == "event":
                name = value
            elif field == "id":
                last = value
        if lines:
            found.append((name, "\n".join(lines), last))
    return found, last


@given(
    text=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("\r\n:"), max_size=20
    )
)
@example("")
@example(" begins with a space")
@example("one\rtwo\nthree\r\nfour\n")
@example("a\u2028b\x0bc\x85d")
def test_raw_event_gives_the_text_back_line_by_line(text):
    push = frames.push_frame(Draft(Identifier.read("chat"), text, False, 7, None), 9)
    data = encodings.RAW_EVENTS_UNCHUNKED.encode(push, 9)
    assert blocks(data) == ([("chat", re.sub(r"\r\n|\r", "\n", text), "9")], "9")
    assert encodings.RAW_EVENTS.encode(push, 9) == b"%x\r\n%b\r\n" % (len(data), data)


def test_raw_event_has_the_very_bytes_of_data():
    value = '{"data":1.0,"position":12345678901234567890,"a":",\\"position\\":1"}'
    frame = f'{{"type":"push","identifier":"chat","push_id":null,"data":{value},"position":5}}'.encode()
    assert blocks(encodings.RAW_EVENTS_UNCHUNKED.encode(frame, 5)) == ([("chat", value, "5")], "5")


def test_raw_event_has_the_name_that_the_push_gives():
    frame = b'{"type":"push","identifier":"chat","push_id":1,"event":"said","text":"x","position":5}'
    assert blocks(encodings.RAW_EVENTS_UNCHUNKED.encode(frame, 5)) == ([("said", "x", "5")], "5")


def test_raw_ready_and_heartbeat_move_the_last_event_id_alone():
    data = encodings.RAW_EVENTS_UNCHUNKED.encode(frames.ready_frame(25, [], [], [7]), 7)
    data += encodings.RAW_EVENTS_UNCHUNKED.encode(frames.heartbeat_frame(8), 8)
    assert blocks(data) == ([], "8")


def test_raw_gap_error_and_reconnect_are_events_of_their_own():
    refused = errors.Refused(errors.DRAINING, "later")
    told = [frames.gap_frame(["chat"]), frames.error_frame(refused), frames.reconnect_frame(5)]
    data = b"".join([encodings.RAW_EVENTS_UNCHUNKED.encode(frame, None) for frame in told])
    found, last = blocks(data)
    assert [name for name, _, _ in found] == ["cometify:gap", "cometify:error", "cometify:reconnect"]
    assert [text.encode() for _, text, _ in found] == told
    assert last == ""
