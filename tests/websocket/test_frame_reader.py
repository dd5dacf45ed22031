"""The frame reader: bytes become messages, however they are cut."""

import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core.encodings import deflate
from cometify.websocket.frame_reader import (
    BINARY,
    CLOSE,
    INVALID_DATA,
    NORMAL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameReader,
    Message,
    Violation,
    answer_to_close,
    close_frame,
    control_frame,
)

LIMIT = 200_000
MASK = b"\x12\x34\x56\x78"


def frame(opcode, data=b"", *, final=True, mask=MASK, reserved=0, width=None):
    """Make a client's frame. `width`: bytes of its length field, if not the shortest form."""
    length = len(data)
    width = width or (1 if length < 126 else 2 if length < 65_536 else 8)
    told = (
        bytes([128 | length])
        if width == 1
        else bytes([128 | (126 if width == 2 else 127)]) + length.to_bytes(width, "big")
    )
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return bytes([(128 if final else 0) | reserved | opcode]) + told + mask + masked


def violation(*pieces, limit=LIMIT, deflates=False):
    """Feed all pieces. Returns the close code of the violation that the last piece causes, alone."""
    reader = FrameReader(limit, deflates=deflates)
    for piece in pieces[:-1]:
        assert all(isinstance(message, Message) for message in reader.feed(piece))
    (found,) = reader.feed(pieces[-1])
    assert isinstance(found, Violation)
    assert str(found) == found.reason
    assert found.reason
    assert found.code == TOO_BIG or not reader.is_waiting
    return found.code


DATA = st.binary(max_size=200)
CONTROLS = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def conversations(draw):
    """Draw messages in the order in which they end, and their bytes: in fragments, with pings between them."""
    expected = []
    said = b""
    for _ in range(draw(st.integers(0, 4))):
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        parts = draw(st.lists(DATA, min_size=1, max_size=3))
        for number, part in enumerate(parts):
            for control, data in draw(st.lists(CONTROLS, max_size=1)):
                said += frame(control, data, mask=draw(st.binary(min_size=4, max_size=4)))
                expected.append(Message(control, data))
            said += frame(
                0 if number else opcode,
                part,
                final=number == len(parts) - 1,
                mask=draw(st.binary(min_size=4, max_size=4)),
                width=draw(st.sampled_from([None, 8])),
            )
        expected.append(Message(opcode, b"".join(parts)))
    return expected, said


@given(conversations(), st.data())
def test_messages_do_not_depend_on_how_bytes_are_cut(conversation, data):
    expected, said = conversation
    whole = frame(TEXT, b"x" * 300)
    trailing = whole[: data.draw(st.integers(0, len(whole) - 1))]
    sent = said + trailing
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    in_pieces = [sent[begin:end] for begin, end in pairwise([0, *cuts, len(sent)])]
    for pieces in ([sent], [sent[at : at + 1] for at in range(len(sent))], in_pieces):
        reader = FrameReader(LIMIT)
        found = [message for piece in pieces for message in reader.feed(piece)]
        assert found == expected
        assert reader.is_waiting == bool(trailing)
        assert reader.feed(whole[len(trailing) :]) == [Message(TEXT, b"x" * 300)]
        assert not reader.is_waiting


@given(st.binary(max_size=60), st.integers(1, 60))
def test_any_bytes_are_messages_or_a_violation(data, size):
    for deflates in (False, True):
        reader = FrameReader(50, deflates=deflates)
        for at in range(0, len(data), size):
            found = reader.feed(data[at : at + size])
            for message in found[:-1]:
                assert len(message.data) <= 50
            if found and isinstance(found[-1], Violation):
                assert found[-1].code in {PROTOCOL_ERROR, TOO_BIG, INVALID_DATA}
                break


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 125, 126, 127, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_message_of_any_length_is_unmasked(opcode, length):
    data = bytes(at % 251 for at in range(length))
    assert FrameReader(LIMIT).feed(frame(opcode, data)) == [Message(opcode, data)]


def test_example_of_the_rfc_is_read():
    sent = bytes.fromhex("818537fa213d7f9f4d5158")
    assert FrameReader(LIMIT).feed(sent) == [Message(TEXT, b"Hello")]


def test_control_frame_between_fragments_comes_first():
    reader = FrameReader(LIMIT)
    sent = frame(TEXT, b"Hel", final=False) + frame(PING, b"?") + frame(0, b"lo")
    assert reader.feed(sent) == [Message(PING, b"?"), Message(TEXT, b"Hello")]


def test_reader_waits_only_for_incomplete_messages():
    reader = FrameReader(LIMIT)
    assert not reader.is_waiting
    assert reader.feed(b"") == []
    assert not reader.is_waiting
    reader.feed(frame(TEXT, b"", final=False))
    assert reader.is_waiting
    reader.feed(frame(0, b""))
    assert not reader.is_waiting
    reader.feed(b"\x81")
    assert reader.is_waiting


def test_bytes_after_a_close_frame_are_discarded():
    reader = FrameReader(LIMIT)
    sent = frame(TEXT, b"a") + frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"b") + b"\xff\xff\xff"
    assert reader.feed(sent) == [Message(TEXT, b"a"), Message(CLOSE, b"\x03\xe8")]
    assert not reader.is_waiting


@pytest.mark.parametrize("reserved", [0x10, 0x20, 0x40, 0x70])
def test_reserved_bits_are_a_protocol_error(reserved):
    assert violation(frame(TEXT, b"a", reserved=reserved)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_unknown_opcode_is_a_protocol_error(opcode):
    assert violation(frame(opcode)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_unmasked_frame_is_a_protocol_error(opcode):
    assert violation(bytes([128 | opcode, 0])) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_long_or_fragmented_control_frame_is_refused(opcode):
    assert violation(frame(opcode, final=False)) == PROTOCOL_ERROR
    assert violation(frame(opcode, b"x" * 126)) == PROTOCOL_ERROR
    assert FrameReader(LIMIT).feed(frame(opcode, b"x" * 125)) == [Message(opcode, b"x" * 125)]


def test_fragment_out_of_order_is_a_protocol_error():
    assert violation(frame(0, b"a")) == PROTOCOL_ERROR
    assert violation(frame(TEXT, b"a", final=False), frame(TEXT, b"b")) == PROTOCOL_ERROR
    assert violation(frame(TEXT, b"a"), frame(0, b"b")) == PROTOCOL_ERROR


@given(conversations(), st.integers(0, 3))
def test_messages_before_a_violation_are_returned(conversation, wrong):
    expected, said = conversation
    reader = FrameReader(LIMIT)
    bad = (frame(3), frame(TEXT, reserved=0x40), frame(0, b"x"), bytes([128 | TEXT, 0]))[wrong]
    *found, violation = reader.feed(said + bad + frame(TEXT, b"unheard"))
    assert found == expected
    assert isinstance(violation, Violation)
    assert violation.code == PROTOCOL_ERROR
    assert reader.feed(frame(CLOSE, b"\x03\xea")) == [Message(CLOSE, b"\x03\xea")]


@pytest.mark.parametrize("limit", [10, 125, 126, 70_000])
def test_message_above_the_limit_is_too_big(limit):
    assert FrameReader(limit).feed(frame(TEXT, b"x" * limit)) == [Message(TEXT, b"x" * limit)]
    assert violation(frame(TEXT, b"x" * (limit + 1)), limit=limit) == TOO_BIG


def test_limit_counts_all_fragments_of_one_message():
    first, second = frame(TEXT, b"x" * 6, final=False), frame(0, b"x" * 4)
    reader = FrameReader(10)
    for _ in range(3):
        assert reader.feed(first + frame(PING, b"x" * 10) + second) == [
            Message(PING, b"x" * 10),
            Message(TEXT, b"x" * 10),
        ]
    assert violation(first, frame(0, b"x" * 5), limit=10) == TOO_BIG


@pytest.mark.parametrize("head", [b"\x81\xfe\xff\xff", b"\x81\xff" + b"\xff" * 8, b"\x82\xff\0\0\0\0\0\x01\0\0"])
def test_too_big_a_frame_is_refused_by_its_header(head):
    reader = FrameReader(10_000)
    assert reader.feed(head[:-1]) == []
    assert violation(head[:-1], head[-1:], limit=10_000) == TOO_BIG


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_rest_of_too_big_a_frame_is_passed_over(size):
    reader = FrameReader(10)
    data = frame(TEXT, frame(CLOSE, b"\x03\xe9") * 20) + frame(CLOSE, b"\x03\xe8")
    first = 20
    (found,) = reader.feed(data[:first])
    assert (found.code, reader.is_waiting) == (TOO_BIG, True)
    messages = [message for at in range(first, len(data), size) for message in reader.feed(data[at : at + size])]
    assert messages == [Message(CLOSE, b"\x03\xe8")]
    assert not reader.is_waiting


def test_control_frame_of_the_server_is_unmasked():
    assert control_frame(PONG, b"abc") == b"\x8a\x03abc"
    assert control_frame(PING, b"x" * 125) == b"\x89\x7d" + b"x" * 125


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("", ""),
        ("bye", "bye"),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" + "ü" * 100, "x" + "ü" * 61),
        ("ü" * 100, "ü" * 61),
        ("😀" * 40, "😀" * 30),
    ],
)
def test_close_frame_cuts_a_long_reason(reason, kept):
    data = (4100).to_bytes(2, "big") + kept.encode()
    assert close_frame(4100, reason) == bytes([0x88, len(data)]) + data


@given(st.integers(0, 65_535), st.text(st.characters(exclude_categories=["Cs"])))
def test_close_frame_is_valid_for_any_reason(code, reason):
    sent = close_frame(code, reason)
    assert len(sent) == 2 + sent[1] <= 127
    assert reason.startswith(sent[4:].decode())


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_close_is_answered_with_its_code(code):
    told = code.to_bytes(2, "big")
    assert answer_to_close(told) == b"\x88\x02" + told
    assert answer_to_close(told + "Grüße".encode()) == b"\x88\x02" + told


def test_close_without_a_code_is_answered_without_one():
    assert answer_to_close(b"") == b"\x88\x00"


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65_535])
def test_forbidden_close_code_is_a_protocol_error(code):
    assert answer_to_close(code.to_bytes(2, "big") + b"why") == close_frame(PROTOCOL_ERROR)


@pytest.mark.parametrize("data", [b"\x00", b"\x03", b"\xff"])
def test_half_a_close_code_is_a_protocol_error(data):
    assert answer_to_close(data) == close_frame(PROTOCOL_ERROR)


@pytest.mark.parametrize("reason", [b"\xff", b"a\xe2\x82", b"\xed\xa0\x80"])
def test_close_reason_must_be_utf_8(reason):
    assert answer_to_close(NORMAL.to_bytes(2, "big") + reason) == close_frame(INVALID_DATA)


# permessage-deflate (RFC 7692).


def deflated(opcode, data=b"", **more):
    return frame(opcode, deflate(data), reserved=0x40, **more)


@st.composite
def half_deflated(draw):
    """Draw messages, some of them compressed, and their bytes: in fragments that are cut anywhere."""
    expected = []
    said = b""
    for data in draw(st.lists(st.binary(max_size=300) | st.just(b"again " * 500), max_size=4)):
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        is_deflated = draw(st.booleans())
        sent = deflate(data) if is_deflated else data
        cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=3)))
        parts = [sent[begin:end] for begin, end in pairwise([0, *cuts, len(sent)])]
        for number, part in enumerate(parts):
            reserved = 0x40 if is_deflated and not number else 0
            final = number == len(parts) - 1
            said += frame(0 if number else opcode, part, final=final, reserved=reserved)
            if not final and draw(st.booleans()):
                said += frame(PING, b"?")
                expected.append(Message(PING, b"?"))
        expected.append(Message(opcode, data))
    return expected, said


@given(half_deflated(), st.integers(1, 50))
def test_compressed_messages_do_not_depend_on_cuts(conversation, size):
    expected, said = conversation
    reader = FrameReader(LIMIT, deflates=True)
    found = [message for at in range(0, len(said), size) for message in reader.feed(said[at : at + size])]
    assert found == expected
    assert not reader.is_waiting


def test_compression_without_agreement_is_refused():
    assert violation(deflated(TEXT, b"Hello")) == PROTOCOL_ERROR
    assert FrameReader(LIMIT, deflates=True).feed(deflated(TEXT, b"Hello")) == [Message(TEXT, b"Hello")]


@pytest.mark.parametrize("reserved", [0x10, 0x20, 0x50, 0x60, 0x70])
def test_other_reserved_bits_stay_a_protocol_error(reserved):
    assert violation(frame(TEXT, deflate(b"a"), reserved=reserved), deflates=True) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_compressed_control_frame_is_a_protocol_error(opcode):
    assert violation(deflated(opcode), deflates=True) == PROTOCOL_ERROR


def test_only_the_first_fragment_marks_compression():
    sent = deflate(b"Hello")
    begun = frame(TEXT, sent[:3], final=False, reserved=0x40)
    assert FrameReader(LIMIT, deflates=True).feed(begun + frame(0, sent[3:])) == [Message(TEXT, b"Hello")]
    assert violation(begun, frame(0, sent[3:], reserved=0x40), deflates=True) == PROTOCOL_ERROR


def test_each_message_is_inflated_by_itself():
    sender = zlib.compressobj(9, zlib.DEFLATED, -15)
    first, second = [(sender.compress(b"Hello, hello" * 3) + sender.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(2)]
    reader = FrameReader(LIMIT, deflates=True)
    assert reader.feed(frame(TEXT, first, reserved=0x40)) == [Message(TEXT, b"Hello, hello" * 3)]
    (found,) = reader.feed(frame(TEXT, second, reserved=0x40))
    assert isinstance(found, Violation)
    assert found.code == INVALID_DATA


@pytest.mark.parametrize("limit", [10, 16_384])
def test_inflated_message_above_the_limit_is_too_big(limit):
    assert FrameReader(limit, deflates=True).feed(deflated(TEXT, b"x" * limit)) == [Message(TEXT, b"x" * limit)]
    assert violation(deflated(TEXT, b"x" * (limit + 1)), limit=limit, deflates=True) == TOO_BIG


def test_deflate_bomb_is_refused_and_not_inflated():
    bomb = deflated(TEXT, b"\0" * 16_000_000)
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        assert violation(bomb, limit=100_000, deflates=True) == TOO_BIG
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\xff",
        b"Hello",
        deflate(b"Hello")[:-1],
        deflate(b"Hello" * 50)[:-2],
        deflate(b"Hello") + b"\0",
        deflate(b"Hello") + b"\0\0\xff\xff",
        b"\xf3\x48\xcd\xc9\xc9\x07\0",  # a final block, and not the empty one after it
    ],
)
def test_data_that_cannot_be_inflated_is_invalid(sent):
    assert violation(frame(TEXT, sent, reserved=0x40), deflates=True) == INVALID_DATA


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\xf2\x48\xcd\xc9\xc9\x07\0", b"Hello"),  # 7.2.3.1: one block
        (b"\0\x05\0\xfa\xffHello\0", b"Hello"),  # 7.2.3.3: a block that is not compressed
        (b"\xf3\x48\xcd\xc9\xc9\x07\0\0", b"Hello"),  # 7.2.3.4: a final block
        (b"\xf2\x48\x05\0\0\0\xff\xff\xca\xc9\xc9\x07\0", b"Hello"),  # 7.2.3.5: two blocks
        (b"\0", b""),  # 7.2.3.6: nothing
    ],
)
def test_examples_of_the_rfc_are_inflated(sent, said):
    assert FrameReader(LIMIT, deflates=True).feed(frame(TEXT, sent, reserved=0x40)) == [Message(TEXT, said)]
