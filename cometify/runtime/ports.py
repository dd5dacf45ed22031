"""Endpoints out of the settings, and the ports that listen on them."""

import errno
import socket
from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from cometify.config.settings import Settings, SettingsError


class Ports(Service):
    """The listening ports: closed first when the process goes down, and then `drain` is called. Until that is over the admin
    endpoint goes on: who asks for the health of a server that drains is told so, and does not take it for dead.

    `endpoints`: the key in the settings, the endpoint in Twisted's syntax, and what is to be served there. Raises
    `SettingsError`.
    """

    def __init__(
        self, reactor: Any, endpoints: Iterable[tuple[str, str, Any]], drain: Callable[[], "defer.Deferred[None]"]
    ) -> None:
        self._drain = drain
        self._services: dict[tuple[str, str], StreamServerEndpointService] = {}
        self._listening: list[tuple[str, StreamServerEndpointService]] = []
        for key, text, site in endpoints:
            service = StreamServerEndpointService(endpoint_of(reactor, key, text), site)
            service._raiseSynchronously = True  # as strports.service has it
            self._services[key, text] = service

    def privilegedStartService(self) -> None:
        """Listen. Ends the process with one line if it cannot: half a server is worse than none."""
        for (key, text), service in self._services.items():
            try:
                service.privilegedStartService()
            except CANNOT_LISTEN as error:
                raise SystemExit(cannot_listen(key, text, error)) from None
            self._listening.append((key, service))

    def startService(self) -> None:
        super().startService()
        for _key, service in self._listening:
            service.startService()

    def stopService(self) -> "defer.Deferred[None]":
        super().stopService()
        closed = self._close(lambda key: key != "admin")
        closed.addCallback(lambda _results: self._drain())
        return closed.addCallback(lambda _none: self._close(lambda key: key == "admin"))

    def _close(self, which: Callable[[str], bool]) -> "defer.Deferred[Any]":
        return defer.DeferredList(
            [defer.maybeDeferred(service.stopService) for key, service in self._listening if which(key)]
        )


def public_endpoints(settings: Settings) -> list[tuple[str, str]]:
    """The endpoints that are for everybody, each with its key in the settings."""
    return [("http", text) for text in settings.http] + [("websocket", text) for text in settings.websocket]


MOST_PORT = 65_535

CANNOT_LISTEN = (CannotListenError, OSError, OverflowError)
"""What endpoints raise that cannot listen: of a port that is taken, a folder that is not there, a number above 65,535."""
_WHAT_TO_DO = {
    errno.EADDRINUSE: "Another process has it: end that one, or give another endpoint here.",
    errno.EACCES: "It is not allowed: ports below 1024 need CAP_NET_BIND_SERVICE, which deploy/cometify.service has.",
    errno.EADDRNOTAVAIL: "This machine has no such address.",
    errno.ENOENT: "The folder must be there: with systemd RuntimeDirectory= makes it.",
}


def cannot_listen(key: str, text: str, error: Exception) -> str:
    """The line with which a process ends that cannot listen."""
    reason = error.socketError if isinstance(error, CannotListenError) else error
    if isinstance(reason, OSError) and reason.filename is not None:
        reason = OSError(reason.errno, reason.strerror)  # else it names files of our own making
    what_to_do = _WHAT_TO_DO.get(getattr(reason, "errno", None) or 0, "")
    return f'cometify: {key}: cannot listen on "{text}" ({str(reason).rstrip(".")}). {what_to_do}'.rstrip()


def endpoint_of(reactor: Any, key: str, text: str) -> Any:
    """An endpoint out of Twisted's syntax. Raises `SettingsError`, naming the key."""
    try:
        endpoint = serverFromString(reactor, text)
        if not 0 <= int(getattr(endpoint, "_port", 0)) <= MOST_PORT:
            raise ValueError(f"a port is a number up to {MOST_PORT}")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001 - the parsers of endpoints raise what they like
        if type(error).__module__.startswith("OpenSSL"):
            reason = "privateKey, certKey and extraCertChain must be files in PEM"
        elif isinstance(error, OSError):
            reason = f"{error.filename}: {error.strerror}"
        else:
            reason = str(error).rstrip(".")
        if "ssl:" not in text:
            reason += '; Twisted\'s syntax is, e.g., "tcp:8081" or "tcp:8081:interface=127.0.0.1"'
        raise SettingsError(f'{key}: "{text}" cannot be used as an endpoint: {reason}.') from None
    return endpoint


class SharedPorts:
    """The ports that several workers will listen on at once, looked at before there are any.

    Whoever else listens on one, another Cometify with workers too, is found out here: the workers themselves ask to
    share it, and would share it with a stranger. Raises `SettingsError`.
    """

    def __init__(self, reactor: Any, settings: Settings) -> None:
        trial = _Trial(reactor)
        self._endpoints = [(key, text, endpoint_of(trial, key, text)) for key, text in public_endpoints(settings)]

    def look(self) -> None:
        """Ends the process with one line if a port cannot be had."""
        for key, text, endpoint in self._endpoints:
            failures: list[Any] = []
            endpoint.listen(Factory()).addErrback(failures.append)
            for failure in failures:
                failure.trap(*CANNOT_LISTEN)
                raise SystemExit(cannot_listen(key, text, failure.value))


class _Trial:
    """A reactor for endpoints, which listens on a port and lets go of it at once."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: Any, backlog: int = 1, interface: str = "") -> None:
        """See IReactorTCP."""
        if port == 0:
            raise CannotListenError(interface, port, OSError("workers cannot share a port without a number"))
        family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
        try:
            ((*_kind, address),) = socket.getaddrinfo(
                interface or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            with socket.socket(family) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(address)
                one.listen(1)
        except (OSError, OverflowError) as error:
            raise CannotListenError(interface, port, error) from None

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, backlog: int = 1, interface: str = "") -> None:
        """See IReactorSSL."""
        self.listenTCP(port, factory, backlog, interface)
