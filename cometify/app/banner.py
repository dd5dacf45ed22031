"""The banner: the last lines of a start, with the address of the page and a push that is ready to paste."""

import sys

from twisted.logger import Logger

from cometify.config.endpoint_url import url_of
from cometify.config.settings import Settings
from cometify.core.md5_signature import secure

log = Logger()

TEXT = "Hello world!"
IDENTIFIER = "chat"


def greet(settings: Settings) -> None:
    """Log the address of the page. For an account that was made up, print its secret and log lines to try it."""
    url = next(filter(None, map(url_of, settings.http)), None)
    if not settings.made_up:
        if url is None:
            log.info("Cometify is up on {endpoints}", endpoints=", ".join(settings.http))
        else:
            log.info("Cometify is up, the getting-started page is {url}/", url=url)
        return
    url = url or "http://localhost:8081"
    account = settings.accounts[0]
    # Printed to the real standard output, because twistd turns sys.stdout into log lines and a secret must not be logged.
    print(
        "\nThere is no configuration file, so an account was made up for this run:\n"
        f"    API key    {account.api_key}\n    API secret {account.api_secrets[0]}\n"
        "To keep the account, write these lines to cometify.toml:\n"
        f'    [[account]]\n    api_key = "{account.api_key}"\n    api_secret = "{account.api_secrets[0]}"\n'
        "For cometify listen and cometify push in another terminal:\n"
        f"    export COMETIFY_URL={url.replace('//', f'//{account.api_key}:{account.api_secrets[0]}@')}\n"
        "The page asks for the API secret when you push from it.\n",
        file=sys.__stdout__,
        flush=True,
    )
    signature = secure(account.api_key, account.api_secrets[0], IDENTIFIER, TEXT)
    log.info("Cometify is up, the getting-started page is {url}/#key={key}", url=url, key=account.api_key)
    log.info("Listen:\n    curl -N '{url}/{key}/events?identifiers={id}'", url=url, key=account.api_key, id=IDENTIFIER)
    log.info(
        "Push this text (the page makes the value of secure for other texts):\n"
        "    curl -d secret=0 -d 'text={text}' -d secure={secure} {url}/{key}/push/{id}",
        text=TEXT, secure=signature, url=url, key=account.api_key, id=IDENTIFIER,
    )  # fmt: skip
    console = url_of(settings.admin)
    if console is not None:
        log.info("The console, for this machine alone, is {url}/", url=console)
