"""Frames, and their encodings for each transport."""

import json
import zlib
from io import BytesIO
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cometify.core import encodings, errors, frames
from cometify.core.identifier import Identifier
from cometify.core.integer import MAX_EXACT, MAX_ID
from cometify.core.push import Draft, Push

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text('\0\n\r\t\b\x1f\x7f\x85\u2028\u2029"\\/<é😀')
NASTY = "".join(map(chr, range(0xA0))) + "\u2028\u2029\ufeff\uffff\"\\/'</script>😀"
CHAT = Identifier.read("Chat")


def pushed(text="Hello", push_id=None, position=1):
    return frames.push_frame(Draft(CHAT, text, secret=False, push_id=push_id, signature=None), position)


def websocket_payload(data):
    """Read an unmasked final text frame. Returns its payload and the bytes behind it."""
    stream = BytesIO(data)
    first, length = stream.read(2)
    assert first == 0x81
    if length == 126:
        length = int.from_bytes(stream.read(2), "big")
        assert length > 125
    elif length == 127:
        length = int.from_bytes(stream.read(8), "big")
        assert length > 65_535
    return stream.read(length), stream.read()


def chunk(data):
    """Read one chunk of HTTP."""
    size, _, rest = data.partition(b"\r\n")
    length = int(size, 16)
    assert rest[length:] == b"\r\n"
    return rest[:length]


def event(data):
    """Read the fields of one block of an event stream as a browser does: CR, LF and CRLF end a line."""
    assert data.endswith(b"\n\n")
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert lines[-2:] == [b"", b""]
    assert b"" not in lines[:-2]
    return dict(line.split(b": ", 1) for line in lines[:-2])


@given(TEXTS, st.none() | st.integers(0, MAX_ID), st.integers(0, MAX_EXACT))
@example(NASTY, MAX_ID, MAX_EXACT)
@example("", None, 0)
def test_push_is_json_that_gives_any_text_back(text, push_id, position):
    frame = pushed(text, push_id, position)
    value = json.loads(frame)
    expected = str(push_id) if push_id is not None and push_id > MAX_EXACT else push_id
    assert value == {"type": "push", "identifier": "chat", "push_id": expected, "text": text, "position": position}
    assert list(value) == ["type", "identifier", "push_id", "text", "position"]
    assert frame == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@given(TEXTS, st.none() | st.integers(0, MAX_EXACT))
@example(NASTY, 1)
@example(NASTY * 1000, None)
def test_every_encoding_carries_the_same_bytes(text, position):
    frame = pushed(text)
    assert not {b"\n", b"\r", b"\0"} & {frame[at : at + 1] for at in range(len(frame))}
    assert websocket_payload(encodings.WEBSOCKET.encode(frame, position)) == (frame, b"")
    line = encodings.POLL.encode(frame, position)
    assert line.splitlines() == [frame]
    assert encodings.STREAM_UNCHUNKED.encode(frame, position) == line
    assert chunk(encodings.STREAM.encode(frame, position)) == line
    block = encodings.EVENTS_UNCHUNKED.encode(frame, position)
    assert chunk(encodings.EVENTS.encode(frame, position)) == block
    fields = event(block)
    assert fields.pop(b"data") == frame
    assert fields == ({} if position is None else {b"id": b"%d" % position})


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\0\0\0\0\0\x01\0\0"),
    ],
)
def test_websocket_frame_has_the_shortest_length_that_fits(length, head):
    assert encodings.WEBSOCKET.encode(b"x" * length, 1) == head + b"x" * length


def test_ready_names_the_places_of_refused_groups():
    frame = frames.ready_frame(25, [], ["Not joined: chat."], [7, 8, 9], [0, 2])
    assert frame.endswith(b'"warnings":["Not joined: chat."],"positions":[7,8,9],"refused":[0,2]}')


def test_ready_has_everything_that_was_accepted():
    frame = frames.ready_frame(25, ["chat"], ["Grüße"], [1764000000000000, 0])
    assert (
        frame
        == (
            '{"type":"ready","heartbeat":25,"secret":["chat"],"warnings":["Grüße"],"positions":[1764000000000000,0]}'
        ).encode()
    )


def test_heartbeat_has_the_position():
    assert frames.heartbeat_frame(1764000000000000) == b'{"type":"heartbeat","position":1764000000000000}'


def test_gap_names_its_identifiers():
    assert frames.gap_frame(["chat", "metrics"]) == b'{"type":"gap","identifiers":["chat","metrics"]}'


def test_reconnect_has_the_milliseconds():
    assert frames.reconnect_frame(1500) == b'{"type":"reconnect","after":1500}'


@pytest.mark.parametrize("code", [errors.NOT_AUTHORIZED, errors.DRAINING], ids=lambda code: code.name)
def test_error_has_its_detail_and_when_to_come_back(code):
    frame = frames.error_frame(errors.Refused(code, 'Say "please" ü.'))
    assert json.loads(frame) == {"type": "error", "code": code.name, "detail": 'Say "please" ü.', "retry": code.retry}
    assert list(json.loads(frame)) == ["type", "code", "detail", "retry"]


def test_encodings_have_the_properties_of_their_transport():
    forms = (
        encodings.WEBSOCKET,
        encodings.WEBSOCKET_DEFLATED,
        encodings.STREAM,
        encodings.STREAM_UNCHUNKED,
        encodings.EVENTS,
        encodings.EVENTS_UNCHUNKED,
        encodings.POLL,
    )
    assert [encoding.name for encoding in forms] == [
        "websocket",
        "websocket",
        "stream",
        "stream",
        "events",
        "events",
        "poll",
    ]
    assert [encoding for encoding in forms if encoding.once] == [encodings.POLL]
    assert [encoding for encoding in forms if encoding.chunked] == [encodings.STREAM, encodings.EVENTS]
    assert [encoding for encoding in forms if encoding.deflates] == [encodings.WEBSOCKET_DEFLATED]


def inflated(data):
    """Read one compressed text message as a browser does."""
    assert data[0] == 0xC1
    payload, rest = websocket_payload(b"\x81" + data[1:])
    assert rest == b""
    return zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")


def a_push(text):
    frame = pushed(text)
    return Push("chat", None, False, 1, frame)


@given(st.binary(max_size=3000) | st.text(max_size=3000).map(str.encode), st.integers(1, 40))
def test_deflated_data_is_inflated_to_the_same(data, times):
    sent = encodings.deflate(data * times)
    assert zlib.decompressobj(-15).decompress(sent + b"\0\0\xff\xff") == data * times


def test_push_is_deflated_from_its_size_on():
    below = a_push("x" * (encodings.WORTH_DEFLATING - len(pushed("")) - 1))
    above = a_push("x" * (encodings.WORTH_DEFLATING - len(pushed(""))))
    encoding = encodings.WEBSOCKET_DEFLATED
    assert encoding.encode_push(below) == encodings.WEBSOCKET.encode_push(below) == encoding.encode(below.frame, 1)
    assert below.deflated is None
    assert inflated(encoding.encode_push(above)) == above.frame
    assert len(encoding.encode_push(above)) < len(above.frame) / 2
    assert websocket_payload(encodings.WEBSOCKET.encode_push(above)) == (above.frame, b"")


def test_push_that_gets_no_smaller_is_not_tried_again():
    noise = Push("chat", None, False, 1, Random(7).randbytes(5000))
    encoding = encodings.WEBSOCKET_DEFLATED
    assert encoding.encode_push(noise) == encodings.WEBSOCKET.encode_push(noise)
    assert noise.deflated == b"", "nothing is kept of it"


def test_push_is_deflated_once():
    push = a_push("again " * 100)
    encoding = encodings.WEBSOCKET_DEFLATED
    assert push.deflated is None
    for other in (encodings.WEBSOCKET, encodings.STREAM, encodings.EVENTS, encodings.POLL):
        assert other.encode_push(push) == other.encode(push.frame, push.position)
        assert push.deflated is None, "nobody has asked for it"
    assert encoding.encode_push(push) is encoding.encode_push(push)


def test_frame_for_one_listener_is_not_deflated():
    frame = frames.ready_frame(25, ["chat"] * 100, [], [1] * 100)
    assert len(frame) > encodings.WORTH_DEFLATING
    assert encodings.WEBSOCKET_DEFLATED.encode(frame, 1) == encodings.WEBSOCKET.encode(frame, 1)


def test_equal_pushes_are_two():
    assert Push("chat", 1, secret=False, position=1, frame=b"{}") != Push(
        "chat", 1, secret=False, position=1, frame=b"{}"
    )


@given(TEXTS, st.none() | st.just("Created"), st.text("abcXYZ019_-", min_size=8, max_size=64))
def test_excepted_listener_is_kept_and_never_sent(text, event, listener):
    draft = Draft(CHAT, text, secret=False, push_id=7, signature=None, event=event)
    plain = frames.kept_head(draft)
    assert plain == frames.push_head(draft)
    assert not plain.startswith(frames.EXCLUDED)
    draft.excluded = listener
    assert frames.push_head(draft) == plain
    kept = frames.kept_head(draft)
    assert kept.startswith(frames.EXCLUDED)
    assert frames.split_excluded(kept) == (listener, plain)
    assert json.loads(kept + b"1}") == {"except": listener, **json.loads(plain + b"1}")}
