"""The group of all commands. A command is imported when it is run, because some of them import much."""

import platform
from importlib import import_module
from typing import Any

import click

import twisted
from cometify import __version__
from cometify.command.escapes import escaped

_VERSIONS = f"Cometify {__version__}, Twisted {twisted.__version__}, Python {platform.python_version()}"
_MODULES = {
    "account": "accounts.command",
    "bench": "bench.command",
    "canary": "canary.command",
    "check": "configuration",
    "doctor": "doctor.command",
    "init": "configuration",
    "key": "rights",
    "listen": "listen",
    "position": "push",
    "push": "push",
    "relay": "relay.command",
    "serve": "serve",
    "token": "rights",
    "url": "rights",
    "usage": "push",
}
"""The module of each command, below this package. A command is a function of its name there."""


class _Commands(click.Group):
    """See click."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f"cometify.command.{_MODULES[cmd_name]}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError:  # the words of the person at the terminal
            raise
        except click.ClickException as error:
            # It can have a sentence of a server.
            error.message = escaped(error.message)  # type: ignore[misc] # click has declared it final
            raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=_VERSIONS)
def main() -> None:
    """Run Cometify, a web push server. Make its configuration, and keys and tokens for pages. Push, listen, find faults."""
