"""The group of all commands."""

import platform

import click

import twisted
from cometify import __version__
from cometify.command.bench.command import bench
from cometify.command.configuration import check, init
from cometify.command.doctor.command import doctor
from cometify.command.listen import listen
from cometify.command.push import position, push
from cometify.command.rights import key, token
from cometify.command.serve import serve

_VERSIONS = f"Cometify {__version__}, Twisted {twisted.__version__}, Python {platform.python_version()}"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=_VERSIONS)
def main() -> None:
    """Run Cometify, a web push server. Make its configuration, and keys and tokens for pages."""


for _command in (serve, check, init, key, token, listen, doctor, bench):
    main.add_command(_command)
main.add_command(push)
main.add_command(position)
