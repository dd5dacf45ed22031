"""The command `cometify relay`."""

import json
import sys

import attrs
import click

from cometify.client import outbox
from cometify.command.account import find_client_of, with_account_options
from cometify.command.exit_status import REFUSED, UNREACHABLE
from cometify.command.metrics_address import MetricsAddress
from cometify.command.relay.databases import open_table
from cometify.command.relay.metrics import Observer, say
from cometify.command.relay.relay import Stopped
from cometify.command.relay.running import RunningRelay
from cometify.command.relay.sending import TIMEOUT, RelayClient
from cometify.command.relay.table import DatabaseAway, DatabaseUnusable
from cometify.command.rights import Duration

ALL = "all"
_AT_ONCE = 1000
"""Rows of one statement. A database takes a limited number of values, such as 65,535 in PostgreSQL."""


@click.command(short_help="Send the rows of an outbox in a database.")
@click.argument("database", required=False, envvar="DATABASE_URL")
@click.option("--once", is_flag=True, help="Send the rows that are there, and end.")
@click.option("--keep", type=Duration(), default=0, help="Keep sent rows for a time, such as 7d. Default: delete them.")
@click.option(
    "--metrics",
    type=MetricsAddress("127.0.0.1:9100", is_local=True),
    help="Serve metrics for Prometheus, such as at 127.0.0.1:9100.",
)
@click.option("--dead", is_flag=True, help="Print the dead letters, and end.")
@click.option("--again", multiple=True, help="Let a dead letter be sent again: its id, or all. Nothing else is done.")
@click.option("--ddl", type=click.Choice(outbox.DIALECTS), help="Print the SQL that creates the table, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print each dead letter as a line of JSON.")
@with_account_options
def relay(
    database: str | None,
    once: bool,
    keep: int,
    metrics: tuple[str, int] | None,
    dead: bool,
    again: tuple[str, ...],
    ddl: str | None,
    as_json: bool,
    url: str | None,
    config: str | None,
    api_key: str | None,
) -> None:
    """Send the rows of the table cometify_outbox in DATABASE, in order. Each is pushed once.

    DATABASE is postgresql://…, mysql://… or sqlite:///PATH. Default: the variable DATABASE_URL. SIGINT and SIGTERM end the
    command with the status 0.
    """
    if ddl is not None:
        click.echo("".join(f"{statement};\n" for statement in outbox.statements(ddl)), nl=False)
        return
    if not database:
        raise click.UsageError("Give the URL of the database, or set DATABASE_URL.")
    try:
        if again:
            _send_again(database, again)
        elif dead:
            _show_dead(database, as_json=as_json)
        else:
            client = find_client_of(RelayClient, url, config, api_key, TIMEOUT)
            with client:
                _run(database, client, keep, metrics, once=once)
    except (DatabaseAway, DatabaseUnusable) as reason:
        raise click.ClickException(str(reason)) from None


def _run(database: str, client: RelayClient, keep: int, metrics: tuple[str, int] | None, *, once: bool) -> None:
    observer = Observer()
    if metrics is not None:
        try:
            observer.serve(*metrics)
        except OSError as error:
            raise click.ClickException(f"The port of --metrics cannot be used: {error.strerror}.") from None
    running = RunningRelay(database, client, observer, keep, counts=metrics is not None)
    try:
        if not once:
            running.run()
        elif not running.run_once():
            sys.exit(UNREACHABLE)
    except Stopped as reason:
        say(f"{reason.detail} No row is lost. Change it, and start the relay again.")
        sys.exit(REFUSED)
    finally:
        running.close()


def _show_dead(database: str, *, as_json: bool) -> None:
    table = open_table(database)
    try:
        letters = table.dead()
    finally:
        table.close()
    for letter in letters:
        if as_json:
            click.echo(json.dumps(attrs.asdict(letter)))
        else:
            line = f"{letter.id} {letter.identifier} {letter.error}"
            click.echo("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def _send_again(database: str, chosen: tuple[str, ...]) -> None:
    table = open_table(database)
    try:
        known = [letter.id for letter in table.dead()]
        wanted = known if ALL in chosen else [_id(one) for one in chosen]
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise click.ClickException(f"These are no dead letters: {', '.join(map(str, unknown))}. See --dead.")
        for at in range(0, len(wanted), _AT_ONCE):
            table.revive(wanted[at : at + _AT_ONCE])
            table.commit()
    finally:
        table.close()
    click.echo(f"{len(wanted)} rows wait to be sent again.")


def _id(given: str) -> int:
    if not (given.isascii() and given.isdigit()):
        raise click.UsageError(f"--again takes the id of a dead letter, or {ALL}, and not {given!r}.")
    return int(given)
