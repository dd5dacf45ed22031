"""Bodies in chunks: how small the chunks may be, and who may send them."""

import pytest
from twisted.internet.testing import MemoryReactorClock, StringTransport

from cometify.http.site import Endpoint, Site, Tree
from cometify.http.twisted_request import MOST_FRAMING, MOST_SMALL

HEAD = b"POST /a HTTP/1.%d\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 2**20


class Lengths(Endpoint):
    """Answers with the length of the body."""

    methods = (b"POST",)
    max_body = 4 * MIB

    def serve(self, request):
        request.answer(200, b"text/plain", b"%d" % len(request.body()))


class Everywhere(Tree):
    """The same endpoint at each path."""

    def find(self, _path, /):
        return Lengths()


class Sender:
    """A connection that sends a body in chunks, in reads of some KiB."""

    def __init__(self, version=1):
        self.clock = clock = MemoryReactorClock()
        self.transport = StringTransport()
        self.protocol = Site(Everywhere(), clock).buildProtocol(self.transport.getPeer())
        self.protocol.makeConnection(self.transport)
        self.protocol.dataReceived(HEAD % version)

    def send(self, data, read=2048):
        """Send until the server closes. Returns the number of bytes that it took."""
        for at in range(0, len(data), read):
            if self.transport.disconnecting:
                return at
            self.protocol.dataReceived(data[at : at + read])
            for _ in range(read):
                if self.transport.producerState != "paused":
                    break
                self.clock.advance(0)
        return len(data)

    @property
    def answered(self):
        """The status and the last line of the answer."""
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else None, body


def in_chunks(size, length, extension=b""):
    chunk = b"%x%b\r\n%b\r\n" % (size, extension, b"x" * size)
    return chunk * (length // size) + b"0\r\n\r\n"


def test_body_in_chunks_of_one_byte_is_refused_early():
    sender = Sender()
    taken = sender.send(in_chunks(1, MIB // 2))
    status, problem = sender.answered
    assert status == 400
    assert b"invalid_body" in problem
    assert b"too small: send at least 64 bytes in each" in problem
    assert taken <= 6 * MOST_SMALL + 2 * 2048


def test_body_that_was_refused_is_not_read_on_in_chunks_of_one_byte():
    sender = Sender(version=0)
    assert sender.answered[0] == 400
    assert sender.send(in_chunks(1, MIB // 2)) <= 6 * MOST_SMALL + 2 * 2048


def test_chunks_that_end_with_empty_lines_count_too():
    sender = Sender()
    assert sender.send(b"2\r\n\r\n\r\n" * (MIB // 8)) <= 7 * MOST_SMALL + 2 * 2048
    assert sender.answered[0] == 400


def test_small_chunks_may_be_many():
    sender = Sender()
    sender.send(in_chunks(8, 8 * MOST_SMALL))
    assert sender.answered == (200, b"%d" % (8 * MOST_SMALL))


@pytest.mark.parametrize("read", [1, 7])
def test_chunk_that_comes_in_small_pieces_is_one(read):
    sender = Sender()
    sender.send(in_chunks(5 * MOST_SMALL, 5 * MOST_SMALL), read)
    assert sender.answered == (200, b"%d" % (5 * MOST_SMALL))


def test_extensions_of_chunks_count_as_lines_between_them():
    sender = Sender()
    taken = sender.send(in_chunks(64, MIB // 2, b";" + b"e" * 500))
    assert sender.answered[0] == 400
    assert taken < 2 * MOST_FRAMING


@pytest.mark.parametrize("size", [64, 65, 4000, 65_536])
@pytest.mark.parametrize("read", [1000, 65_536])
def test_chunks_of_64_bytes_are_large_enough(size, read):
    sender = Sender()
    length = 3 * MIB // size * size
    sender.send(in_chunks(size, length), read)
    assert sender.answered == (200, b"%d" % length)


@pytest.mark.parametrize(("version", "status"), [(0, 400), (1, 200)])
def test_chunks_belong_to_http_1_1(version, status):
    sender = Sender(version)
    sender.send(b"1\r\nx\r\n0\r\n\r\n")
    assert sender.answered[0] == status
    assert sender.transport.disconnecting == (version == 0)
