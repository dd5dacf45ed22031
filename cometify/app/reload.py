"""A reload: the accounts and the certificates are read again while the server runs, at SIGHUP or by the admin endpoint."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from twisted.logger import Logger

from cometify.app.options import Options
from cometify.config.accounts import Accounts
from cometify.config.checks import doubts
from cometify.config.difference import Difference, named
from cometify.config.last_reload import LastReload
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import DEFAULT_FILE, need_a_restart
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.runtime.reactor import Reactor
from cometify.runtime.systemd import Systemd

log = Logger()


class HasAccounts(Protocol):
    """A server or a supervisor."""

    accounts: Accounts
    last_reload: LastReload
    reload: Callable[[bool], Difference] | None

    def read_certificates(self) -> None:
        """Read the certificates of its ports again."""

    def change_accounts(self, settings: Settings) -> None:
        """Replace the accounts of the file, and the defaults, by those of `settings`."""


def warn_of_doubts(settings: Settings) -> None:
    """Log a warning for each value that works and is a bad idea."""
    for doubt in doubts(settings):
        log.warn("{doubt}", doubt=doubt)  # noqa: G010 - Twisted's warn is not deprecated.


class Reload:
    """Reads the file again. A wrong file changes nothing, and neither does one that drops too many accounts.

    `began`: the settings of the start. `load`: reads the file again, and raises `SettingsError`. `wall`: Unix seconds.
    """

    def __init__(
        self,
        server: HasAccounts,
        began: Settings,
        load: Callable[[], Settings],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._began = began
        self._load = load
        self._wall = wall
        server.last_reload.at = wall()

    def __call__(self, may_drop: bool = False) -> Difference:
        """Read the file and the certificates again, and return the difference of the accounts.

        `may_drop`: any number of accounts may go. Raises `SettingsError`, and `Refused` for a file that drops too many.
        """
        self._server.last_reload.is_successful = False
        self._server.read_certificates()
        settings = self._load()
        if settings.made_up:
            raise SettingsError(f"{Path(DEFAULT_FILE).absolute()} does not exist.")
        difference = Difference.between(self._server.accounts.of_file.values(), settings.accounts)
        if difference.drops_too_many and not may_drop:
            raise _drops_too_many(difference)
        self._server.change_accounts(settings)
        self._server.last_reload.is_successful = True
        self._server.last_reload.at = self._wall()
        log.info(
            "Reload done, {count} accounts; {difference}", count=len(settings.accounts), difference=str(difference)
        )
        self._warn(settings)
        return difference

    def at_a_signal(self) -> None:
        """Read again, and log the reason if that is not possible."""
        try:
            self()
        except SettingsError as error:
            self._log_failure(str(error))
        except Refused as refused:
            self._log_failure(refused.detail)

    @staticmethod
    def _log_failure(reason: str) -> None:
        log.error("Reload failed, keeping the current accounts: {reason}", reason=reason)

    def _warn(self, settings: Settings) -> None:
        warn_of_doubts(settings)
        keys = need_a_restart(self._began, settings)
        if keys:
            log.warn(  # noqa: G010 - Twisted's warn is not deprecated.
                "Reload changes accounts and certificates only: restart the server to change {keys}",
                keys=", ".join(keys),
            )


def _drops_too_many(difference: Difference) -> Refused:
    return Refused(
        errors.ACCOUNT_CONFLICT,
        f"the file would drop {len(difference.gone)} of {difference.before} accounts, more than a tenth: "
        f"{named(difference.gone)}. Put the file right if it is not whole. To drop them, run cometify account reload --drop, "
        "or restart.",
    )


def reload_on_hangup(server: HasAccounts, options: Options, reactor: Reactor, systemd: Systemd) -> None:
    """Read the certificates and the accounts again at each SIGHUP, and when the admin endpoint asks for it."""
    assert options.settings is not None
    reload = Reload(server, options.settings, lambda: options.load(again=True))

    def reload_and_tell() -> None:
        systemd.reloading()
        try:
            reload.at_a_signal()
        finally:
            systemd.reloaded()

    def install() -> None:
        signal.signal(signal.SIGHUP, lambda *_args: reactor.callFromThread(reload_and_tell))

    reactor.callWhenRunning(install)
    server.reload = reload
