"""SIGHUP: the accounts and the certificates are read again while the server runs."""

import signal
from pathlib import Path
from typing import Protocol

from twisted.logger import Logger

from cometify.app.options import Options
from cometify.config.checks import doubts
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import DEFAULT_FILE, need_a_restart
from cometify.runtime.reactor import Reactor

log = Logger()


class HasAccounts(Protocol):
    """A server or a supervisor."""

    def read_certificates(self) -> None:
        """Read the certificates of its ports again."""

    def change_accounts(self, settings: Settings) -> None:
        """Replace the accounts by those of `settings`."""


def warn_of_doubts(settings: Settings) -> None:
    """Log a warning for each value that works and is a bad idea."""
    for doubt in doubts(settings):
        log.warn("{doubt}", doubt=doubt)  # noqa: G010 - Twisted's warn is not deprecated.


def reload_on_hangup(server: HasAccounts, options: Options, reactor: Reactor) -> None:
    """Read the certificates and the accounts again at each SIGHUP. A wrong file changes nothing and is logged."""

    def reload() -> None:
        server.read_certificates()
        try:
            settings = options.load(again=True)
        except SettingsError as error:
            log.error(  # noqa: TRY400 - The line holds the reason, and a traceback would add nothing.
                "Reload failed, keeping the current accounts: {error}", error=str(error)
            )
            return
        if settings.made_up:
            log.error(
                "Reload failed, keeping the current accounts: {file} does not exist.",
                file=Path(DEFAULT_FILE).absolute(),
            )
            return
        server.change_accounts(settings)
        log.info("Reload done, {count} accounts", count=len(settings.accounts))
        warn_of_doubts(settings)
        assert options.settings is not None
        keys = need_a_restart(options.settings, settings)
        if keys:
            log.warn(  # noqa: G010 - Twisted's warn is not deprecated.
                "Reload changes accounts and certificates only: restart the server to change {keys}",
                keys=", ".join(keys),
            )

    def install() -> None:
        signal.signal(signal.SIGHUP, lambda *_args: reactor.callFromThread(reload))

    reactor.callWhenRunning(install)
