"""The checks of `cometify doctor`. Each comes after those that it needs.

All transports are tried with one listener id, one after the other. So the doctor takes one place of the account's limit.
"""

import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from cometify import __version__
from cometify.command.doctor.admin import AdminEndpoint, Figures
from cometify.command.doctor.findings import Finding, Status, failed
from cometify.command.doctor.tls import SOON, look_at_certificate
from cometify.command.frames import Frame
from cometify.command.group import Group
from cometify.command.requests import JSON, Answer, Requests
from cometify.command.server_url import ServerURL
from cometify.command.sources import SOURCES, Source
from cometify.command.troubles import Trouble
from cometify.core.identifier import names_from_query
from cometify.core.integer import MAX_EXACT
from cometify.core.md5_signature import secure_key

MAX_DIFFERENCE = 5
"""Seconds by which clocks may differ. Back ends that resume by their own clock allow for as much."""
SLOW = 1.0
"""Seconds after which a push is late."""
PUSHES = 3
_NOBODY = frozenset({"not_cometify", "no_node"})
"""Faults of a URL at which no server answers."""


class Examination:
    """`admin`: the URL of the admin endpoint, or None. `patience`: the seconds that each answer may take."""

    def __init__(self, server: ServerURL, admin: str | None, reactor: Any, patience: float) -> None:
        self._server = server
        self._reactor = reactor
        self._patience = patience
        self._requests = Requests(server, reactor, patience)
        self._admin = None if admin is None else AdminEndpoint(admin, self._requests)
        self._identifier = f"doctor_{secrets.token_hex(8)}"
        self._listener = secrets.token_hex(8)
        self._can_push = bool(server.api_secret)
        self._joined = 0

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield one finding after the other."""
        before, admin = Figures({}), self._admin
        if admin is not None:
            try:
                before = await admin.figures()
            except Trouble as trouble:
                yield failed("admin", trouble)
                admin = None
        async for finding in self._from_outside():
            yield finding
        if admin is not None:
            async for finding in admin.examine(before, self._joined):
                yield finding
        elif self._admin is None:
            yield Finding("admin", Status.SKIPPED, "File descriptors and Redis are seen with --admin URL only.")
        await self._requests.close()

    async def _from_outside(self) -> AsyncIterator[Finding]:
        try:
            yield await self._connection()
            answer = await self._requests.ask("GET", f"{self._server.address.prefix}/openapi.json")
        except Trouble as trouble:
            yield failed("connection", trouble)
            return
        version = _version(answer)
        yield version
        yield _clock(answer)
        engine = await self._position()
        yield engine
        if engine.fault == "wrong_key" or {version.fault, engine.fault} <= _NOBODY:
            return  # the transports would only say the same
        if self._can_push:
            yield await self._push()
        else:
            yield Finding("push", Status.SKIPPED, "Pushes are tried only with the API secret in the URL.")
        for name, source in SOURCES.items():
            yield await self._transport(name, source)
        if self._can_push and self._server.is_tls:
            yield await self._bearer()

    async def _connection(self) -> Finding:
        """Connect, and look at the certificate."""
        address, began = self._server.address, time.monotonic()
        try:
            if self._server.is_tls:
                certificate = await look_at_certificate(address, self._reactor, self._patience)
                certificate.check(address.host)
                if certificate.days_left < SOON:
                    detail = f"The certificate ends in {certificate.days_left} days."
                    return Finding("connection", Status.WARNING, detail, "tls_expired")
            else:
                endpoint = HostnameEndpoint(self._reactor, address.host, address.port, timeout=self._patience)
                protocol = await connectProtocol(endpoint, Protocol())
                assert protocol.transport is not None
                protocol.transport.loseConnection()
        except Trouble:
            raise
        except Exception as error:  # noqa: BLE001 - a dozen kinds of errors mean that there is no connection
            detail = str(error) or type(error).__name__
            raise Trouble("unreachable", f"No connection to {self._server.origin}: {detail}") from None
        milliseconds = 1000 * (time.monotonic() - began)
        detail = f"Connected to {self._server.origin} in {milliseconds:.0f} ms."
        return Finding("connection", Status.OK, detail, figures={"milliseconds": milliseconds})

    async def _position(self) -> Finding:
        """Compare the clock of the engine with that of this machine."""
        try:
            answer = await self._requests.ask("GET", self._server.path("position"))
            document = answer.json
            position = document.get("position") if answer.status == 200 and isinstance(document, dict) else None
            if type(position) is not int or not 0 <= position <= MAX_EXACT:
                raise answer.trouble()
        except Trouble as trouble:
            return failed("engine", trouble)
        ahead = position / 1_000_000 - (time.time() - answer.seconds / 2)
        return _compared("engine", "the engine's clock", ahead)

    async def _push(self) -> Finding:
        try:
            answer = await self._requests.push(self._identifier, {"text": "doctor", "secret": 1})
            if answer.status != 200:
                raise answer.trouble()
        except Trouble as trouble:
            self._can_push = False
            if trouble.fault == "wrong_key":
                if "clock" in trouble.detail:
                    return Finding("push", Status.FAILED, trouble.detail, "wrong_clock")
                return Finding("push", Status.FAILED, "The API secret is not one of the account's.", "wrong_secret")
            return failed("push", trouble)
        milliseconds = 1000 * answer.seconds
        return Finding("push", Status.OK, f"Accepted in {milliseconds:.0f} ms.", figures={"milliseconds": milliseconds})

    async def _transport(self, name: str, kind: type[Source]) -> Finding:
        """Join, and hear pushes."""
        key = self._server.api_secret and secure_key(self._server.api_key, self._server.api_secret, self._identifier)
        group = Group(names_from_query(self._identifier), key)
        source = kind(self._server, group, self._listener, self._requests, self._reactor, self._patience)
        try:
            began = time.monotonic()
            await source.open()
            await self._frame(source, lambda frame: frame["type"] == "ready")
            ready = 1000 * (time.monotonic() - began)
            self._joined += 1
            if not self._can_push:
                return Finding(name, Status.OK, f"Ready in {ready:.0f} ms.", figures={"ready": ready})
            took = [await self._heard(source, f"{name} {number}") for number in range(PUSHES)]
        except Trouble as trouble:
            return failed(name, trouble)
        finally:
            source.close()
        worst = max(took)
        detail = f"Ready in {ready:.0f} ms. Heard the slowest of {PUSHES} pushes after {1000 * worst:.0f} ms."
        figures = {"ready": ready, "push": 1000 * worst}
        if worst > SLOW:
            return Finding(name, Status.WARNING, detail, "slow", figures)
        return Finding(name, Status.OK, detail, figures=figures)

    async def _heard(self, source: Source, text: str) -> float:
        """Push, and return the seconds until the source has heard it. Raises `Trouble`."""
        heard = Deferred.fromCoroutine(self._frame(source, lambda frame: frame.get("text") == text))
        began = time.monotonic()
        try:
            answer = await self._requests.push(self._identifier, {"text": text, "secret": 1})
            if answer.status != 200:
                raise answer.trouble()
        except Trouble:
            heard.addErrback(lambda _failure: None)
            heard.cancel()
            raise
        await heard
        return time.monotonic() - began

    async def _frame(self, source: Source, is_wanted: Callable[[Frame], bool]) -> None:
        """Wait for a frame. Others may come before it, but not for ever. Raises `Trouble`."""
        until = time.monotonic() + self._patience
        while not is_wanted(await source.frame()):
            if time.monotonic() > until:
                raise source.silence()

    async def _bearer(self) -> Finding:
        """Show the API secret itself. The server takes it only if it knows that the request came over TLS."""
        headers = {"Content-Type": JSON, "Authorization": f"Bearer {self._server.api_secret}"}
        path, body = self._server.path(f"push/{self._identifier}"), b'{"text":"doctor","secret":1}'
        try:
            answer = await self._requests.ask("POST", path, body, headers)
        except Trouble as trouble:
            return failed("https", trouble)
        if answer.status == 200:
            return Finding("https", Status.OK, "The server knows that its clients use TLS.")
        code, detail = answer.problem
        if code == "not_authorized" and "v2" not in detail:
            detail = "The server does not know that its clients use TLS, because it does not trust its proxy."
            return Finding("https", Status.FAILED, detail, "untrusted_proxy")
        return failed("https", answer.trouble())


def _version(answer: Answer) -> Finding:
    document = answer.json
    if answer.status != 200 or not isinstance(document, dict):
        return failed("version", answer.trouble())
    info = document.get("info")
    version = str(info.get("version", "")) if isinstance(info, dict) else ""
    if _numbers(version) < _numbers(__version__):
        detail = f"The server has version {version or 'unknown'}. This command has version {__version__}."
        return Finding("version", Status.FAILED, detail, "old_version")
    return Finding("version", Status.OK, f"Version {version}.")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if re.fullmatch("[0-9]{1,9}", part)]


def _clock(answer: Answer) -> Finding:
    try:
        date = parsedate_to_datetime(answer.header("date")).timestamp()
    except (ValueError, OverflowError):
        return Finding("clock", Status.SKIPPED, "The answer has no date.")
    # A date has whole seconds, so the middle of the second is the best guess.
    return _compared("clock", "the server's clock", date + 0.5 - (time.time() - answer.seconds / 2))


def _compared(check: str, whose: str, ahead: float) -> Finding:
    figures = {"ahead": ahead}
    if abs(ahead) <= MAX_DIFFERENCE:
        return Finding(check, Status.OK, f"This machine's clock agrees with {whose}.", figures=figures)
    side = "ahead of" if ahead > 0 else "behind"
    detail = f"{whose.capitalize()} is {abs(ahead):.0f} s {side} this machine's."
    return Finding(check, Status.FAILED, detail, "wrong_clock", figures)
