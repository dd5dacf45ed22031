"""`cometify init` writes a configuration file, and `cometify check` reads one."""

import os
import secrets
import sys
from pathlib import Path

import click

from cometify.app.options import Options
from cometify.config.settings_file import DEFAULT_FILE

_OWNER_ALONE = 0o600
_TEXT = """\
# The settings of Cometify. A setting behind # is not set.
# All settings are explained in docs/configuration.md. A release serves it at http://localhost:8081/docs/configuration.html
# Check your changes with: cometify check {file}
# On SIGHUP a running server reads the accounts again.

# The ports of publishers and pages, and one for WebSockets alone.
# http = ["tcp:8081"]
# websocket = ["tcp:2323"]

# Health checks, metrics and the console, for this machine alone.
# admin = "tcp:8082:interface=127.0.0.1"

# Proxies in front of this server. Their X-Forwarded-For and X-Forwarded-Proto are believed.
# trusted_proxies = ["127.0.0.1"]

# Pushes are kept in memory. A Redis keeps them over restarts, and joins several nodes.
# redis = "redis://127.0.0.1:6379/0"

[[account]]
api_key = "{api_key}"
api_secret = "{api_secret}"

# Publishers sign with HMAC, or show the secret itself over TLS. "any" also takes the old MD5 signature `secure`.
signatures = "strong"

# Origins whose pages may listen. Default: all.
# origins = ["https://www.example.org"]

# The most listeners at once from one address.
# listeners_per_ip = 30
"""


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=DEFAULT_FILE)
def init(file: Path) -> None:
    """Write a configuration FILE with a new account. The default is cometify.toml.

    The account has a random secret. Only you can read the file.
    """
    text = _TEXT.format(file=file, api_key=secrets.randbelow(9 * 10**7) + 10**7, api_secret=secrets.token_urlsafe(24))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise click.ClickException(f"{file} exists already. Give another name, or move it away.") from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}.") from None
    option = "" if str(file) == DEFAULT_FILE else f" --config {file}"
    click.echo(f"{file} has an account with a new secret. Serve it: cometify serve{option}")


@click.command()
@click.argument("file", required=False)
def check(file: str | None) -> None:
    """Check a configuration FILE. The default is cometify.toml. Nothing is started.

    The exit status is 0 if a server can use it, and 1 otherwise.
    """
    Options().parseOptions(["--check"] if file is None else ["--check", "--config", file])
    sys.exit(0)
