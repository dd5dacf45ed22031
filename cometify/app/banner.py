"""What a server says when it is up: where the page is, and a push that is ready to paste."""

import re
import sys

from twisted.logger import Logger

from cometify.config.settings import Settings
from cometify.core.md5_signature import secure

log = Logger()

TEXT = "Hello world!"
IDENTIFIER = "chat"


_FIELD = r"((?:\\.|[^:\\])+)"
"""A field of an endpoint, in which a backslash is before a colon that ends nothing."""
_ANYWHERE = ("0.0.0.0", "127.0.0.1", "::", "::1")  # noqa: S104 - to be found by its name, localhost


def url_of(endpoint: str) -> str | None:
    """The URL at which a browser on this machine finds an endpoint, if that can be told."""
    match = re.fullmatch(r"(tcp|tcp6|ssl):(?:port=)?(\d+)(?::.*)?", endpoint)
    if match is None:
        return None
    scheme = "https" if match[1] == "ssl" else "http"
    interface = re.search(f":interface={_FIELD}", endpoint)
    host = re.sub(r"\\(.)", r"\1", interface[1]) if interface else _ANYWHERE[0]
    host = "localhost" if host in _ANYWHERE else f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{match[2]}"


def greet(settings: Settings) -> None:
    """The last lines of a start."""
    url = next(filter(None, map(url_of, settings.http)), None)
    if not settings.made_up:
        if url is None:
            log.info("Cometify is up, on {endpoints}", endpoints=", ".join(settings.http))
        else:
            log.info("Cometify is up, the getting-started page is {url}/", url=url)
        return
    url = url or "http://localhost:8081"
    account = settings.accounts[0]
    # Not through the log, nor through the stdout that twistd makes a log of: a secret is nothing to keep there.
    print(
        "\nThere is no configuration, so one account was made up for this run:\n"
        f"    API key    {account.api_key}\n    API secret {account.api_secrets[0]}\n"
        "To keep it, write a cometify.toml with these lines:\n"
        f'    [[account]]\n    api_key = "{account.api_key}"\n    api_secret = "{account.api_secrets[0]}"\n'
        "The page asks for the API secret when you push from it.\n",
        file=sys.__stdout__,
        flush=True,
    )
    signature = secure(account.api_key, account.api_secrets[0], IDENTIFIER, TEXT)
    log.info("Cometify is up, the getting-started page is {url}/#key={key}", url=url, key=account.api_key)
    log.info("Listen:\n    curl -N '{url}/{key}/events?identifiers={id}'", url=url, key=account.api_key, id=IDENTIFIER)
    log.info(
        "Push this text (another needs another secure, which the page makes):\n"
        "    curl -d secret=0 -d 'text={text}' -d secure={secure} {url}/{key}/push/{id}",
        text=TEXT, secure=signature, url=url, key=account.api_key, id=IDENTIFIER,
    )  # fmt: skip
    inspector = url_of(settings.admin)
    if inspector is not None:
        log.info("Who listens to what is shown at {url}/, for you alone", url=inspector)
