"""Connections of programs that wait for their answers. They are kept alive, and every step has the deadline of its request.

Threads share the idle connections, but never one that is in use. There is no lock, because a fork could copy a lock that is
held: `append` and `pop` of a deque are atomic. A forked process leaves the connections of its parent alone.
"""

import io
import os
import selectors
import socket
import ssl
import time
from collections import deque
from http.client import HTTPException, HTTPResponse
from threading import Thread
from typing import Any

from .address import Address
from .tries import Answer, NoAnswer, Request

MAX_IDLE = 8
"""Connections that are kept while they are not used."""
IDLE_FOR = 30.0
"""Seconds after which an idle connection is no longer used: a firewall on the way may have forgotten it."""
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""SelectSelector takes no descriptor above 1023, but Windows has nothing else."""
MAX_ANSWER = 64 * 2**20
"""Bytes of an answer."""


class Connections:
    """The connections to one server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._tls: ssl.SSLContext | None = None
        self._idle: deque[_Connection] = deque()
        self._pid = os.getpid()

    def exchange(self, request: Request) -> Answer | NoAnswer:
        """Send a request and read its answer, in the time that it has."""
        deadline = time.monotonic() + request.timeout
        try:
            connection = self._take() or self._connect(deadline)
        except ssl.SSLCertVerificationError as error:
            return NoAnswer(f"its certificate is not accepted ({error.verify_message})", sent=False, again="never")
        except OSError as error:
            return NoAnswer(_reason(error), sent=False)
        try:
            reply = connection.exchange(request, deadline)
        except BaseException:  # a greenlet or thread that is ended too: the answer may still come
            connection.close()
            raise
        if connection.is_reusable and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread was quicker
                return

    __del__ = close

    def _take(self) -> "_Connection | None":
        """Take the idle connection that was used last, if the server has not closed it."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.close()  # this process's copies: the connections stay open for the parent
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_idle():
                return connection
            connection.close()

    def _connect(self, deadline: float) -> "_Connection":
        if self._address.scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        found = _look_up(self._address.host, self._address.port, deadline)
        for number, (family, kind, protocol, _name, target) in enumerate(found, 1):
            # The time that is left is shared, because an address may swallow packets, as IPv6 does in some networks.
            share = _left(deadline) / (len(found) - number + 1)
            plain = socket.socket(family, kind, protocol)
            try:
                plain.settimeout(share)
                plain.connect(target)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                plain.settimeout(_left(deadline))
                if self._address.scheme == "http":
                    return _Connection(plain)
                assert self._tls is not None
                return _Connection(self._tls.wrap_socket(plain, server_hostname=self._address.host))
            except ssl.SSLCertVerificationError:
                plain.close()
                raise
            except OSError:
                plain.close()
                if number == len(found):
                    raise
            except BaseException:
                plain.close()
                raise
        raise OSError("its name has no address")


class _Connection:
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._answers = 0
        self._used = time.monotonic()
        self.is_reusable = False

    def is_idle(self) -> bool:
        """True if nothing has come since the last answer: neither an end nor a byte, which would look like an answer."""
        if time.monotonic() - self._used > IDLE_FOR:
            return False
        with _Selector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return not selector.select(0)

    def close(self) -> None:
        self._socket.close()

    def exchange(self, request: Request, deadline: float) -> Answer | NoAnswer:
        self.is_reusable = False
        reader = _Reader(self._socket, deadline)
        sent = False
        failed: OSError | None = None
        try:
            sent = self._send(request, deadline)
        except TimeoutError as error:
            return NoAnswer(_reason(error), sent)
        except OSError as error:
            # The server may have refused a long body before all of it was sent. So its answer is read.
            failed = error
        try:
            return self._read(request.method, reader)
        except (OSError, HTTPException) as error:
            is_stale = self._answers > 0 and not reader.count and not isinstance(error, TimeoutError)
            return NoAnswer(_reason(failed or error), sent, "now" if is_stale else "later")

    def _send(self, request: Request, deadline: float) -> bool:
        """Send the whole request. Returns True."""
        headers = {**request.headers, "Content-Length": str(len(request.body))} if request.body else request.headers
        lines = [
            f"{request.method} {request.target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        unsent = memoryview("\r\n".join([*lines, "", ""]).encode() + request.body)
        while unsent:
            self._socket.settimeout(_left(deadline))
            unsent = unsent[self._socket.send(unsent) :]
        return True

    def _read(self, method: str, reader: "_Reader") -> Answer:
        response = HTTPResponse(_Readable(reader), method=method)  # type: ignore[arg-type] # only `makefile` is called
        try:
            response.begin()
            if reader.has_ended:  # HTTPResponse takes the end of the connection for the end of the head
                raise HTTPException("its head is cut off")
            body = response.read(MAX_ANSWER)
            if len(body) == MAX_ANSWER:
                raise HTTPException(f"it has more than {MAX_ANSWER} bytes")
            if response.length:  # with a limit, `read` takes the end of the connection for the end of the answer
                raise HTTPException(f"{response.length} bytes of it are missing")
            headers = {name.lower(): value for name, value in response.getheaders()}
            self.is_reusable = not response.will_close and response.isclosed()
        finally:
            response.close()
        self._answers += 1
        self._used = time.monotonic()
        return Answer(response.status, headers, body)


class _Reader(io.RawIOBase):
    """The bytes of a socket until a deadline. `count`: how many have come. `has_ended`: the peer has sent its last."""

    def __init__(self, source: socket.socket, deadline: float) -> None:
        self._socket = source
        self._deadline = deadline
        self.count = 0
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Each read gets the time that is left. A timeout of the socket alone would begin again with each byte.
        self._socket.settimeout(_left(self._deadline))
        size = self._socket.recv_into(buffer)
        self.count += size
        self.has_ended = not size
        return size


class _Readable:
    """The part of a socket that HTTPResponse uses."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _look_up(host: str, port: int, deadline: float) -> list[Any]:
    """Find the addresses of a host. A thread waits for the name server, and goes on alone if the deadline passes."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    thread = Thread(target=look_up, name="cometify-look-up", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter ends, and can start no thread
        look_up()
    else:
        thread.join(_left(deadline))
    if not found:
        raise TimeoutError("the name server does not answer")
    if isinstance(found[0], OSError):
        raise found[0]
    addresses: list[Any] = found[0]
    return addresses


def _reason(error: Exception) -> str:
    """Describe an error in words, without the text of a request."""
    if isinstance(error, TimeoutError):
        return str(error) if error.args and error.errno is None else "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
