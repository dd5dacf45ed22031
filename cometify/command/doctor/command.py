"""The command `cometify doctor`."""

import sys

import click
from rich.console import Console

from cometify.command.account import find_examined, with_server_argument
from cometify.command.client_reactor import client_reactor, run
from cometify.command.doctor.examination import Examination
from cometify.command.doctor.findings import Finding
from cometify.command.doctor.report import is_sound, line_of, show_json, show_table
from cometify.command.exit_status import FAILED


@click.command(short_help="Examine a server, and name what is wrong.")
@with_server_argument
@click.option("--admin", help="The admin endpoint too, such as http://127.0.0.1:8082")
@click.option("--patience", type=click.FloatRange(min=0.1), default=5.0, help="Seconds that an answer may take: 5.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def doctor(
    server: str | None,
    url: str | None,
    config: str | None,
    api_key: str | None,
    admin: str | None,
    patience: float,
    *,
    as_json: bool,
) -> None:
    """Examine the server at URL, https://KEY:SECRET@host, and name what is wrong.

    Without a URL, the server is that of COMETIFY_URL, or the one that cometify.toml starts on this machine.

    The doctor connects on every transport and pushes to an identifier of its own. The exit status is 1 if a check failed.
    """
    examined = find_examined(server, url, config, api_key)
    reactor = client_reactor()
    examination = Examination(examined, admin, reactor, patience)
    is_table = sys.stdout.isatty() and not as_json
    findings: list[Finding] = []

    async def examine() -> None:
        async for finding in examination.findings():
            findings.append(finding)
            if not (is_table or as_json):
                click.echo(line_of(finding))

    with Console(stderr=True).status("Examining …"):
        run(reactor, examine())
    if as_json:
        show_json(examined.origin, findings)
    elif is_table:
        show_table(findings)
    sys.exit(0 if is_sound(findings) else FAILED)
