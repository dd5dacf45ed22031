"""A refusal of the server, told to a person at a terminal.

The sentence of the server is for the program that signed the request. A person has neither signed nor sent parameters: the
option, the variable or the file is what can be corrected.
"""

import re

import click
from click.core import ParameterSource

from cometify.client import CometifyError
from cometify.config.settings_file import DEFAULT_FILE

_OPTIONS = {
    "idempotency_mismatch": "--idempotency-key was used in the last ten minutes for another push: give a new one.",
    "must_be_secret": "The account takes only secret pushes to this channel: add --secret.",
}
"""The advice for codes that one option causes."""


def advice(error: CometifyError, url: str | None, config: str | None) -> str:
    """Return the detail of an error, as advice to the user of a command with the options `url` and `config`."""
    if error.code != "not_authorized":
        return _OPTIONS.get(error.code, error.detail)
    if "clock" in error.detail:
        seconds = re.search(r"(\d+) seconds", error.detail)
        return f"This machine's clock and the server's differ by {seconds[1] if seconds else 'too many'} seconds: set both."
    if config is None and url:
        return _advice_on_url(error)
    return (
        f"The server on this machine does not take the account of {config or DEFAULT_FILE}: start or restart it with this "
        "file, or give the URL of another server with --url or COMETIFY_URL."
    )


def _advice_on_url(error: CometifyError) -> str:
    source = click.get_current_context().get_parameter_source("url")
    name = "the variable COMETIFY_URL" if source is ParameterSource.ENVIRONMENT else "--url"
    if "without TLS" in error.detail:
        return (
            f"The server does not take the API secret itself here, because a part of the way may have no TLS: leave "
            f"?bearer=1 out of {name}, or name the proxy in trusted_proxies of the server."
        )
    bearer = " An account may refuse ?bearer=1 too." if "Authorization" in error.detail else ""
    return (
        f"The server does not know the API key in {name}, or the account has another API secret: correct {name}. "
        f"`cometify doctor` tells which of them is wrong.{bearer}"
    )
