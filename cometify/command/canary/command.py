"""The command `cometify canary`."""

import sys

import click
from twisted.internet.task import LoopingCall

from cometify.command.account import find_examined, with_server_argument
from cometify.command.canary.canary import Canary
from cometify.command.canary.figures import Figures
from cometify.command.client_reactor import client_reactor, run
from cometify.command.escapes import escaped
from cometify.command.exit_status import FAILED, REFUSED, UNREACHABLE
from cometify.command.metrics_address import MetricsAddress
from cometify.command.troubles import Trouble

_STATUS_OF_FAULT = {"wrong_key": REFUSED, "refused": REFUSED, "unreachable": UNREACHABLE, "no_node": UNREACHABLE}


@click.command(short_help="Push once a second, listen on every transport, and export the losses.")
@with_server_argument
@click.option(
    "--metrics",
    type=MetricsAddress("127.0.0.1:9102"),
    help="Serve metrics for Prometheus there, such as 127.0.0.1:9102.",
)
@click.option("--every", type=click.FloatRange(0.05, 60), default=1.0, help="Seconds between two pushes: 1.")
@click.option(
    "--lost-after", type=click.FloatRange(0.5, 300), default=10.0, help="Seconds that a delivery may take: 10."
)
@click.option("--report", type=click.FloatRange(min=0.1), default=60.0, help="Seconds between two printed lines: 60.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End after this time. Default: never.")
@click.option("--json", "as_json", is_flag=True, help="Print each line as a JSON object.")
def canary(
    server: str | None,
    url: str | None,
    config: str | None,
    api_key: str | None,
    metrics: tuple[str, int] | None,
    every: float,
    lost_after: float,
    report: float,
    seconds: float | None,
    *,
    as_json: bool,
) -> None:
    """Push once a second to the server at URL, https://KEY:SECRET@host, and listen on every transport.

    Without a URL, the server is that of COMETIFY_URL, or the one that cometify.toml starts on this machine.

    It runs until it is stopped, through every outage. The status is 1 if a push was refused, lost or repeated.
    """
    examined = find_examined(server, url, config, api_key)
    if not examined.api_secret:
        raise click.ClickException("The URL must have the API secret, because pushes are signed with it.")
    figures = Figures()
    if metrics is not None:
        try:
            figures.serve(*metrics)
        except OSError as error:
            raise click.ClickException(f"The metrics cannot be served at {metrics[0]}:{metrics[1]}: {error}") from None
    reactor = client_reactor()
    reports = LoopingCall(figures.report, as_json=as_json)
    reports.clock = reactor
    reports.start(report, now=False)
    try:
        run(reactor, Canary(examined, reactor, figures, every=every, lost_after=lost_after).run(seconds))
    except Trouble as trouble:
        click.echo(escaped(f"Error: {trouble.detail} `cometify doctor` finds the reason."), err=True)
        sys.exit(_STATUS_OF_FAULT.get(trouble.fault, FAILED))
    except click.Abort:
        pass  # SIGINT and SIGTERM are the usual end
    figures.report(as_json=as_json)
    sys.exit(_status(figures))


def _status(figures: Figures) -> int:
    if figures.is_whole:
        return 0
    if figures.totals["accepted"] or figures.last is None:
        return FAILED
    return _STATUS_OF_FAULT.get(figures.last.fault, FAILED)
