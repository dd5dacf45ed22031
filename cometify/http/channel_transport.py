"""The transport that a stock HTTPChannel of twisted.web is given.

The channel gets one request at a time, and nothing behind that request. The bytes that the peer has pipelined stay with
the connection. So the connection decides when the next request is read and by which parser, and it can be handed to a
listener together with all unread bytes. Both work with the channel's public methods alone.

**The end of a request is known without reading it.** By RFC 9112 (sections 6 and 7.1) there are three cases:

- A request without a body ends with the empty line behind its headers.
- A request with Content-Length ends so many bytes after that line. The channel has read the header, and tells the
  length to the request (`gotLength`), which tells it here (`expect_body`).
- A request in chunks ends with the empty line behind the last chunk. An empty line within a chunk is not the end, but it
  does no harm to stop there: the channel has then not called the request whole, and gets more.

So the channel is given the bytes up to the next empty line, or up to the end of a counted body, whichever applies.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.interfaces import IAddress, IConsumer, IProducer, IPushProducer, ITransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from cometify.http.fast_parser import Endpoints, PlainEndpoint
from cometify.runtime.sockets import Hop, hop_of, prefer, set_read_size
from cometify.runtime.tcp import LONG_READ, READ
from cometify.runtime.transport import Transport

EMPTY_LINE = b"\r\n\r\n"
"""The end of a line, and an empty line."""


class Owner(Protocol):
    """The connection that is the channel's. See `fast_channel.FastChannel`."""

    transport: Transport

    def request_is_whole(self) -> None:
        """The channel has read a whole request, and is about to have it answered."""

    def request_is_done(self) -> None:
        """Called once the answer to that request has been written."""

    def when_read(self, call: Callable[[], None]) -> None:
        """See `Exchange`."""

    def close(self) -> None:
        """Close the connection once everything is written."""

    @property
    def ends(self) -> bool:
        """True if each answer must end the connection."""

    def release(self) -> tuple[Transport, bytes]:
        """See `Exchange`."""


@implementer(ITransport, IConsumer, IPushProducer)
class ChannelTransport:
    """A stock HTTPChannel, and its transport. `is_reading`: a request was begun, and is not whole yet.

    `keeps_body`: the content of the body is kept until the request is answered.
    `drops_body`: the request was refused, and the rest of its body is read and dropped.
    `ends_with_peer`: a call is registered for the case that the peer leaves, so the request is a listener's.
    `chunk_bytes`: the bytes of a body in chunks that have come, with the lines between its chunks. `chunk_reads`: the parts in
    which they came, but for those that end with an empty line. Each of these may end within a chunk.
    """

    __slots__ = (
        "_channel", "_head", "_in_chunks", "_missing", "_owner", "_tree",
        "chunk_bytes", "chunk_reads", "disconnecting", "drops_body", "ends_with_peer", "is_reading", "keeps_body",
    )  # fmt: skip

    def __init__(self, owner: Owner, channel: HTTPChannel, tree: Endpoints) -> None:
        self.disconnecting = False
        self.drops_body = False
        self.is_reading = False
        self.keeps_body = False
        self.ends_with_peer = False
        self._owner = owner
        self._channel = channel
        self._tree = tree
        self._await_request()
        channel.makeConnection(self)

    def _await_request(self) -> None:
        # The bytes of the head so far. In a chunked body: the last three bytes, where an empty line may have begun.
        self._head = bytearray()
        self._missing = 0
        self._in_chunks = False
        self.chunk_bytes = self.chunk_reads = 0

    @property
    def ends(self) -> bool:
        """True if the answer must end the connection."""
        return self._owner.ends

    # Called by the connection.

    @property
    def is_in_body(self) -> bool:
        """True while a body is being read."""
        return self._in_chunks or self._missing > 0

    @property
    def missing(self) -> int | None:
        """The bytes of the body that are still to come, None if it comes in chunks."""
        return None if self._in_chunks else self._missing

    def size_of_part(self, data: bytes) -> int:
        """Count the bytes that the channel may be given now: at most those up to the end of its request."""
        if self._missing:
            return min(self._missing, len(data))
        kept = self._head[-3:]
        at = (kept + data[:3]).find(EMPTY_LINE)
        if at >= 0:
            return at + len(EMPTY_LINE) - len(kept)
        at = data.find(EMPTY_LINE)
        return len(data) if at < 0 else at + len(EMPTY_LINE)

    def dataReceived(self, part: bytes) -> None:
        """Give the channel a part that `size_of_part` has measured."""
        self.is_reading = True
        if self._missing:
            self._missing -= len(part)
            if self._missing < LONG_READ:
                set_read_size(self._owner.transport, self._missing)
        else:
            self._head += part
            if self._in_chunks:
                self.chunk_bytes += len(part)
                self.chunk_reads += not self._head.endswith(EMPTY_LINE)
                del self._head[:-3]
        self._channel.dataReceived(part)

    def connectionLost(self, reason: Failure) -> None:
        """Tell the channel, and the request that it is reading or answering."""
        self._channel.connectionLost(reason)
        self._forget_channel()

    def _forget_channel(self) -> None:
        """Break the channel's reference cycles: with its request, with the decoder of a body, and with this transport.

        The collector does not look at an old connection for long (see `runtime.gc_pauses`), so its memory must be
        freed without it. Emptying the channel needs none of the names inside.
        """
        vars(self._channel).clear()

    def pause(self) -> None:
        """The peer does not read: ask the writer of an answer to wait."""
        self._channel.pauseProducing()

    def resume(self) -> None:
        """The peer reads again."""
        self._channel.resumeProducing()

    def stop(self) -> None:
        """The connection is lost: ask the writer of an answer to stop."""
        self._channel.stopProducing()

    # Called by the request. See `twisted_request`.

    def prefer(self) -> None:
        """See `Exchange`."""
        prefer(self._owner.transport)

    @property
    def request_line(self) -> tuple[bytes, bytes, bytes]:
        """The method, the target and the version. Valid until `expect_body`, which clears the head."""
        line = bytes(self._head).removeprefix(b"\r\n").partition(b"\r\n")[0]
        method, target, version = line.split(b" ")  # twisted.web has refused any other line
        return method, target, version

    @property
    def hop(self) -> Hop:
        """The connection below."""
        return hop_of(self._owner.transport)

    def expect_body(self, length: int | None) -> None:
        """Called once the head has been read. `length`: bytes of the body, or None if the body comes in chunks."""
        self._head.clear()
        self._in_chunks = length is None
        self._missing = length or 0
        if self._missing > READ:
            set_read_size(self._owner.transport, self._missing)

    @property
    def has_docs(self) -> bool:
        """See `Exchange`."""
        return self._tree.has_docs

    def find(self, path: tuple[str, ...]) -> PlainEndpoint:
        """The endpoint at a path."""
        return self._tree.find(path)

    def request_is_whole(self) -> None:
        """Called once the whole request has been read, right before it is answered."""
        self.is_reading = False
        self.ends_with_peer = False
        self._await_request()
        self._owner.request_is_whole()

    def request_is_done(self) -> None:
        """Called once the answer has been written."""
        self.keeps_body = False
        self._owner.request_is_done()

    def when_read(self, call: Callable[[], None]) -> None:
        """See `Exchange`."""
        self._owner.when_read(call)

    def release(self) -> tuple[Transport, bytes]:
        """See `Exchange`."""
        released = self._owner.release()
        self._forget_channel()
        return released

    # Called by the channel, whose transport this is.

    def write(self, data: bytes) -> None:
        self._owner.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self._owner.transport.write(b"".join(data))

    def loseConnection(self) -> None:
        self.disconnecting = True  # the channel reads no further line then
        self._owner.close()

    def getPeer(self) -> IAddress:
        return self._owner.transport.getPeer()

    def getHost(self) -> IAddress:
        return self._owner.transport.getHost()

    # The channel registers as a producer, and it pauses and resumes its transport. The connection decides about both
    # directions instead: it calls `pause` and `resume` above, and passes nothing on while a request is being answered.

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Do nothing."""

    def unregisterProducer(self) -> None:
        """Do nothing."""

    def pauseProducing(self) -> None:
        """Do nothing."""

    def resumeProducing(self) -> None:
        """Do nothing."""

    def stopProducing(self) -> None:
        """Do nothing."""
