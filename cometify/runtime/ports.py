"""Listening ports: endpoints from the settings, opened at the start and closed when the process ends."""

import errno
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar, cast

from twisted.application.service import MultiService, Service
from twisted.internet import defer
from twisted.internet.abstract import FileDescriptor
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Port as TCPPort
from twisted.internet.unix import Port as UnixPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.config.settings import Settings, SettingsError
from cometify.runtime.certificates import CertificateReactor, Certificates, files_of, in_words
from cometify.runtime.inherited_sockets import InheritedSockets
from cometify.runtime.proxy_protocol import PREFIX, ProxiedEndpoint
from cometify.runtime.tcp import BACKLOG

log = Logger()

ADMIN = "admin"
"""The key of the admin endpoint, which stays open while the server drains."""
MOST_PORT = 65_535

CANNOT_LISTEN = (CannotListenError, OSError, OverflowError)
"""Errors of an endpoint that cannot listen: the port is taken, the folder is missing, the number is above 65,535."""
_WHAT_TO_DO = {
    errno.EADDRINUSE: "Another process has it: end that process, or choose another endpoint.",
    errno.EACCES: "It is not allowed: ports below 1024 need CAP_NET_BIND_SERVICE, which deploy/cometify.service has.",
    errno.EADDRNOTAVAIL: "This machine has no such address.",
    errno.ENOENT: "The folder must exist: with systemd, RuntimeDirectory= makes it.",
}


T = TypeVar("T")


class Ports(Service):
    """The listening ports of a process.

    When the process ends, `drain(close)` is called, which calls `close()` once the public ports must accept nothing more.
    They are closed then, and the admin endpoint closes when all is drained. A health check of a draining server gets the
    answer "draining" that way and does not take the server for dead.
    """

    def __init__(
        self,
        reactor_for: Callable[[str, str], object],
        endpoints: Iterable[tuple[str, str, IProtocolFactory]],
        drain: "Callable[[Callable[[], defer.Deferred[object]]], defer.Deferred[None]]",
        hold: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """`endpoints`: the key in the settings, the endpoint in Twisted's syntax, and the factory that serves it.

        `reactor_for`: gives an endpoint, by its key and its text, the reactor on which it listens. Raises `SettingsError`.
        `hold(accept)`: called at the start. The kernel takes the connections to the public ports, and they wait there until
        `accept()` is called.
        """
        self._reactor_for = reactor_for
        self._drain = drain
        self._hold = hold
        self.certificates: list[Certificates] = []
        self._endpoints = [
            (key, text, endpoint_of(reactor_for(key, text), key, text, self.certificates), site)
            for key, text, site in endpoints
        ]
        self._open: list[tuple[str, IListeningPort]] = []

    def privilegedStartService(self) -> None:
        """Listen on every endpoint. Ends the process with one line if one cannot, because half a server is worse."""
        super().privilegedStartService()
        for key, text, endpoint, site in self._endpoints:
            listening = endpoint.listen(site)
            _exit_if_failed(listening.addCallback(self._opened, key), key, text)

    def read_certificates(self) -> None:
        """Read all certificates again, however old they are."""
        for certificates in self.certificates:
            certificates.read_again()

    def replace_admin(self, text: str) -> None:
        """Listen again for the admin endpoint if the file of its Unix socket has gone. `text`: the endpoint."""
        lost = [port for key, port in self._open if key == ADMIN and _is_lost(port)]
        if not (lost and self.running):
            return
        (site,) = [site for key, _text, _endpoint, site in self._endpoints if key == ADMIN]

        def listen(_closed: object) -> "defer.Deferred[IListeningPort]":
            return endpoint_of(self._reactor_for(ADMIN, text), ADMIN, text).listen(site)

        opened = self._close(lambda key: key == ADMIN).addCallback(listen)
        opened.addCallback(self._opened, ADMIN).addErrback(_not_opened)

    def _opened(self, port: IListeningPort, key: str) -> None:
        self._open.append((key, port))
        if self._hold is not None and key != ADMIN and isinstance(port, FileDescriptor):
            port.stopReading()

    def startService(self) -> None:
        super().startService()
        if self._hold is not None:
            self._hold(self._accept)

    def _accept(self) -> None:
        for _key, port in self._open:
            if isinstance(port, FileDescriptor):
                port.startReading()

    def stopService(self) -> "defer.Deferred[None]":
        super().stopService()
        drained = self._drain(partial(self._close, lambda key: key != ADMIN))
        return drained.addCallback(lambda _none: self._close(lambda _key: True))

    def _close(self, which: Callable[[str], bool]) -> "defer.Deferred[object]":
        """Stop listening on some ports. One that fails is logged, so that the others close and the server drains."""
        closing = [port for key, port in self._open if which(key)]
        self._open = [(key, port) for key, port in self._open if not which(key)]
        closed = [defer.maybeDeferred(port.stopListening).addErrback(_not_closed, port) for port in closing]
        return cast("defer.Deferred[object]", defer.gatherResults(closed))


def _not_closed(failure: Failure, port: IListeningPort) -> None:
    if isinstance(port, UnixPort) and failure.check(FileNotFoundError):
        # Twisted removes the file first, and does not close the socket if the file has gone.
        TCPPort.connectionLost(port, failure)
        return
    log.failure("Closing a listening port failed", failure)


def _not_opened(failure: Failure) -> None:
    log.failure("The admin endpoint cannot listen again", failure)


def _is_lost(port: IListeningPort) -> bool:
    return isinstance(port, UnixPort) and not os.path.lexists(port.getHost().name)


def _exit_if_failed(listening: "defer.Deferred[T]", key: str, text: str) -> None:
    """End the process with one line if an endpoint could not listen. Endpoints of sockets tell it at once."""
    failures: list[Failure] = []
    listening.addErrback(failures.append)
    for failure in failures:
        failure.trap(*CANNOT_LISTEN)
        assert isinstance(failure.value, Exception)
        raise SystemExit(cannot_listen(key, text, failure.value))


def is_behind_proxies(text: str) -> bool:
    """True for an endpoint whose peers are proxies, which tell the client's address by the PROXY protocol."""
    return text.startswith(PREFIX)


def public_endpoints(settings: Settings) -> list[tuple[str, str]]:
    """Return the endpoints that are open to everybody, each with its key in the settings."""
    return [("http", text) for text in settings.http] + [("websocket", text) for text in settings.websocket]


def cannot_listen(key: str, text: str, error: Exception) -> str:
    """Return the last line of a process that cannot listen."""
    reason: object = error.socketError if isinstance(error, CannotListenError) else error
    if isinstance(reason, OSError) and reason.filename is not None:
        reason = OSError(reason.errno, reason.strerror)  # Drops names of lock files, which the reader has never seen.
    what_to_do = _WHAT_TO_DO.get(getattr(reason, "errno", None) or 0, "")
    return f'cometify: {key}: cannot listen on "{text}" ({str(reason).rstrip(".")}). {what_to_do}'.rstrip()


def read_certificates(server: MultiService) -> None:
    """Read the certificates of a server's ports again, however old they are."""
    for ports in _ports_of(server):
        ports.read_certificates()


def poll_certificates(server: MultiService, wall: Callable[[], float] = time.time) -> None:
    """Read those certificates of a server's ports again whose files have changed, and log those that expire soon."""
    for certificates in certificates_of(server):
        certificates.poll()
        certificates.remind(wall())


def certificates_of(server: MultiService) -> list[Certificates]:
    """Return the certificates of a server's ports."""
    return [certificates for ports in _ports_of(server) for certificates in ports.certificates]


def _ports_of(server: MultiService) -> list[Ports]:
    return [service for service in server if isinstance(service, Ports)]


def endpoint_of(
    reactor: object, key: str, text: str, certificates: list[Certificates] | None = None
) -> IStreamServerEndpoint:
    """Make an endpoint from Twisted's syntax. Raises `SettingsError`, naming the key.

    `certificates`: a list to which those of the endpoint are added, if it is TLS.
    """
    try:
        files = files_of(text)
        if files is not None:
            read = Certificates(files)
            reactor = CertificateReactor(reactor, read)
            if certificates is not None:
                certificates.append(read)
        endpoint = _read_endpoint(reactor, text)
        if not 0 <= int(getattr(endpoint, "_port", 0)) <= MOST_PORT:
            raise ValueError(f"a port is a number up to {MOST_PORT}")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001 - Parsers of endpoints are plugins and raise any exception.
        reason = in_words(error)
        if "ssl:" not in text:
            reason += '; Twisted\'s syntax is, for example, "tcp:8081" or "tcp:8081:interface=127.0.0.1"'
        raise SettingsError(f'{key}: "{text}" cannot be used as an endpoint: {reason}.') from None
    return endpoint


def _read_endpoint(reactor: object, text: str) -> IStreamServerEndpoint:
    """Make an endpoint from Twisted's syntax, with our own reader of the PROXY protocol. Raises whatever its parser raises."""
    if is_behind_proxies(text):
        return ProxiedEndpoint(_read_endpoint(reactor, text.removeprefix(PREFIX)))
    endpoint: IStreamServerEndpoint = serverFromString(reactor, text)
    return endpoint


class SharedPorts:
    """The ports that several workers share. They are opened before the first worker starts, and passed on to all of them.

    A socket that was inherited already is passed on as it is. Raises `SettingsError`.
    """

    def __init__(self, reactor: object, settings: Settings, inherited: InheritedSockets) -> None:
        opener = _Opener(reactor, inherited, min(settings.workers, _cores()))
        self._endpoints = [(key, text, endpoint_of(opener, key, text)) for key, text in public_endpoints(settings)]

    def open(self) -> None:
        """Open the sockets. Ends the process with one line if one of them cannot be had."""
        for key, text, endpoint in self._endpoints:
            _exit_if_failed(endpoint.listen(Factory()), key, text)


def _cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


class _Opener:
    """A reactor for endpoints that opens their sockets for workers. Everything else is the reactor's own.

    `cores`: the processors that the workers have. The queue of a socket has room for what these serve in a second or two.
    Further workers add nothing to that, and whoever waits in a longer queue waits in vain.
    """

    def __init__(self, reactor: object, inherited: InheritedSockets, cores: int) -> None:
        self._reactor = reactor
        self._inherited = inherited
        self._cores = cores

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: object, backlog: int = BACKLOG, interface: str = "") -> None:
        """See IReactorTCP."""
        if self._inherited.find(port, interface) is not None:
            return
        if port == 0:
            raise CannotListenError(interface, port, OSError("workers cannot share a port without a number"))
        try:
            self._inherited.open(port, interface, max(backlog, BACKLOG) * self._cores)
        except (OSError, OverflowError) as error:
            raise CannotListenError(interface, port, error) from None

    def listenSSL(
        self, port: int, factory: object, contextFactory: object, backlog: int = BACKLOG, interface: str = ""
    ) -> None:
        """See IReactorSSL."""
        self.listenTCP(port, factory, backlog, interface)
