"""`cometify serve` is `twistd cometify` in the foreground."""

import sys

import click
from twisted.scripts import twistd

from cometify.app.options import Options

_TO_TWISTD = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}


@click.command(context_settings=_TO_TWISTD, add_help_option=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def serve(options: tuple[str, ...]) -> None:
    """Serve until SIGTERM or SIGINT. `cometify serve --help` lists the options."""
    if set(options) & {"-h", "--help"}:
        described = Options()
        described.synopsis = "Usage: cometify serve [options]"
        click.echo(str(described))
        return
    # twistd takes its arguments from here alone. It ends the process itself.
    sys.argv = ["cometify", "--nodaemon", "--pidfile=", "cometify", *options]
    twistd.run()
