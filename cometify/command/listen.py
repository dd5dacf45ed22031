"""`cometify listen` prints the pushes of some channels."""

import sys
import time
from pathlib import Path
from typing import Any

import click
from twisted.internet.interfaces import IDelayedCall

from cometify.command.account import find_server, with_account_options
from cometify.command.client_reactor import client_reactor
from cometify.command.escapes import escaped, escaped_json
from cometify.command.exit_status import REFUSED
from cometify.command.frames import Frame
from cometify.command.group import Group
from cometify.command.listening import Listening
from cometify.command.output import LineOutput
from cometify.command.position_file import PositionFile
from cometify.command.push_lines import line_of
from cometify.command.rights import Duration
from cometify.core.errors import Refused
from cometify.core.identifier import EXTENDED, Names, names_from_query
from cometify.core.md5_signature import secure_key

SAVE_WITHIN = 1
"""Seconds within which a new cursor is written to the file."""


class Since(click.ParamType[int]):
    """A position, or a duration such as 10m, which means that time before now."""

    name = "since"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        if isinstance(value, int):
            return value
        if value.isascii() and value.isdigit():
            return int(value)
        return int((time.time() - Duration().convert(value, param, ctx)) * 1_000_000)


class _Printer:
    """Prints what a listener receives, and keeps its cursor in a file."""

    def __init__(self, output: LineOutput, file: PositionFile | None, count: int | None, *, as_json: bool) -> None:
        self.listening: Listening
        self.reactor: Any
        self.failure: click.ClickException | None = None
        self.status = 0
        self._output = output
        self._file = file
        self._left = count
        self._as_json = as_json
        self._unsaved: int | None = None
        self._timer: IDelayedCall | None = None

    def received(self, text: str, frame: Frame) -> None:
        """See `listening.Receiver`."""
        if self._as_json:
            line: Any = escaped_json(text) if self._output.is_terminal else text
        else:
            line = line_of(frame)
        if not self._output.write(line):
            self.end()
        elif self._left is not None and frame["type"] == "push":
            self._left -= 1

    def moved(self, cursor: int) -> None:
        """See `listening.Receiver`."""
        self._unsaved = cursor
        if self._left == 0:
            self.end()
        elif self._file is not None and self._timer is None:
            self._timer = self.reactor.callLater(SAVE_WITHIN, self._save)

    def told(self, notice: str) -> None:
        """See `listening.Receiver`."""
        click.echo(f"cometify: {escaped(notice)}", err=True)

    def refused(self, why: str) -> None:
        """End, because the server has refused the listener for good."""
        self.told(why)
        self.status = REFUSED
        self.end()

    def end(self) -> None:
        """Say goodbye to the server, save the cursor and end the command."""
        self.listening.stop()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._save()
        if self.reactor.running:
            self.reactor.stop()

    def _save(self) -> None:
        self._timer = None
        if self._file is None or self._unsaved is None:
            return
        position, self._unsaved = self._unsaved, None
        try:
            self._file.write(position)
        except click.ClickException as failure:
            self.failure = failure
            self.end()


@click.command(short_help="Print the pushes of channels as they come.")
@click.argument("channels", nargs=-1, required=True)
@click.option("--state", type=click.Path(path_type=Path), help="A file that keeps the position over restarts.")
@click.option("--since", type=Since(), help="Begin after a position, or at a time ago: 10m. A state file comes first.")
@click.option("--token", default="", help="A token with the right to secret pushes. Default: a key made of SECRET.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many pushes.")
@click.option("--json", "as_json", is_flag=True, help="Print each push and gap as JSON, one a line.")
@with_account_options
def listen(
    channels: tuple[str, ...],
    state: Path | None,
    since: int | None,
    token: str,
    count: int | None,
    as_json: bool,
    url: str | None,
    config: str | None,
    api_key: str | None,
) -> None:
    """Print the pushes of CHANNELS, such as `chat metrics`, or with internal ids `chat:59 metrics:0`.

    The command connects again whenever the connection is lost, and misses nothing that the server still keeps. SIGINT and
    SIGTERM end it with the status 0.
    """
    server, names = find_server(url, config, api_key), _names(channels)
    key = secure_key(server.api_key, server.api_secret, names.spelled) if server.api_secret and not token else ""
    file = None if state is None else PositionFile(state, server.address.server, server.api_key, ",".join(channels))
    cursor = None if file is None else file.read()
    group = Group(names, key, token, since if cursor is None else cursor)
    reactor = client_reactor()
    output = LineOutput(lambda: reactor.callFromThread(printer.end))
    printer = _Printer(output, file, count, as_json=as_json)
    printer.reactor = reactor
    printer.listening = Listening(server, group, printer, reactor)
    printer.listening.refused.addCallback(printer.refused)
    output.catch_signals()
    reactor.callWhenRunning(printer.listening.start)
    reactor.run(installSignalHandlers=False)
    if printer.failure is not None:
        raise printer.failure
    sys.exit(printer.status)


def _names(channels: tuple[str, ...]) -> Names:
    try:
        return names_from_query(",".join(channels), EXTENDED)
    except Refused as refused:
        raise click.ClickException(refused.detail) from None
