"""The command `cometify bench`."""

import sys

import click
from rich.console import Console
from rich.progress import Progress

from cometify.command.account import find_examined, with_server_argument
from cometify.command.bench.load import Load, Result
from cometify.command.bench.report import show, show_json
from cometify.command.client_reactor import client_reactor, run
from cometify.command.escapes import escaped
from cometify.command.exit_status import FAILED, REFUSED, UNREACHABLE
from cometify.command.server_url import ServerURL
from cometify.command.troubles import Trouble

_STATUS_OF_FAULT = {"wrong_key": REFUSED, "refused": REFUSED, "unreachable": UNREACHABLE, "no_node": UNREACHABLE}


@click.command(short_help="Load a running server, and measure it.")
@with_server_argument
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, help="The time that pushes are sent: 10.")
@click.option("--listeners", type=click.IntRange(min=0), default=10, help="WebSockets that hear every push: 10.")
@click.option("--rate", type=click.FloatRange(min=0.1), default=100.0, help="Pushes in a second: 100.")
@click.option("--size", type=click.IntRange(min=0, max=65_536), default=100, help="Bytes of a text: 100.")
@click.option("--yes", is_flag=True, help="Load a server that is not on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(
    server: str | None,
    url: str | None,
    config: str | None,
    api_key: str | None,
    seconds: float,
    listeners: int,
    rate: float,
    size: int,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Load the server at URL, https://KEY:SECRET@host, and print rates and latencies.

    Without a URL, the server is that of COMETIFY_URL, or the one that cometify.toml starts on this machine.

    The pushes go to an identifier that nobody else hears. They count against the quotas of the account.
    """
    loaded = find_examined(server, url, config, api_key)
    if not loaded.api_secret:
        raise click.ClickException("The URL must have the API secret, because pushes are signed with it.")
    _check_consent(loaded, f"{rate:g} pushes a second for {seconds:g} s, to {listeners} listeners", yes=yes)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Pushing", total=seconds)
        reactor = client_reactor()
        load = Load(
            loaded,
            reactor,
            seconds=seconds,
            listeners=listeners,
            rate=rate,
            size=size,
            progress=lambda elapsed: progress.update(task, completed=elapsed),
        )
        try:
            result = run(reactor, load.run())
        except Trouble as trouble:
            click.echo(escaped(f"Error: {trouble.detail} `cometify doctor` finds the reason."), err=True)
            sys.exit(_STATUS_OF_FAULT.get(trouble.fault, FAILED))
    (show_json if as_json else show)(result)
    sys.exit(0 if _is_whole(result) else FAILED)


def _is_whole(result: Result) -> bool:
    """True if pushes were accepted, every listener stayed, and each heard every push once."""
    return result.accepted > 0 and not (result.missing or result.repeated or result.lost)


def _check_consent(server: ServerURL, load: str, *, yes: bool) -> None:
    """Ask before a server of somebody else is loaded."""
    if yes or server.address.is_loopback:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{server.origin} is not this machine. Add --yes if you may put {load}, on it.")
    click.confirm(f"{server.origin} is not this machine. May you put {load}, on it?", abort=True, err=True)
