"""The operator's view of a flood: the metrics of accounts, the console and the log, and the account that each of them names."""

import http.client
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.campaigns.attacks import good_client
from bench.rig.account import KEY

_TOLD_WITHIN = 15.0
"""Seconds after which the console and the log must have told. Both look every five seconds."""
_CONSOLE = {"pushes_total": "pushes", "push_bytes_total": "push_bytes"}
"""The column of the console for a metric."""


class Operator:
    """`port`: that of the admin endpoint."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log

    def _get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def figures(self, figure: str) -> dict[str, float]:
        """One metric of accounts, by account. Labels beside the account are summed."""
        found = {KEY: 0.0, good_client.KEY: 0.0}
        pattern = rf'^cometify_account_{figure}\{{.*?account="(\w+)".*?\}} (\S+)'
        for account, value in re.findall(pattern, self._get("/metrics"), re.MULTILINE):
            found[account] += float(value)
        return found

    def total(self, metric: str) -> float:
        """The sum of a metric over all its labels."""
        found = re.findall(rf"^cometify_{metric}(?:\{{.*\}})? (\S+)", self._get("/metrics"), re.MULTILINE)
        return sum(map(float, found))

    def figures_of_flood(self, figure: str, seconds: float) -> dict[str, float]:
        """The same, once the flooding account has more than the other one, or after so many seconds."""
        found: dict[str, float] = {}

        def is_above() -> bool:
            found.update(self.figures(figure))
            return found[KEY] > found[good_client.KEY]

        _within(is_above, seconds)
        return found

    def _console(self, path: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self._get(f"/console/{path}?own"))["processes"][0]
        return report

    def console_has_listeners(self, seconds: float) -> bool:
        """Wait until "Accounts" of the console has more listeners of the flooding account than of the other one."""

        def is_above() -> bool:
            listeners = self._console("accounts")["listeners"]
            return bool(listeners.get(KEY, 0) > listeners.get(good_client.KEY, 0))

        return _within(is_above, seconds)

    def console_names(self, figure: str) -> bool:
        """Wait until "Accounts" of the console has more of the flooding account than of the other one in the last minute."""

        def is_above() -> bool:
            sums, column = self._console("accounts")["last_minute"], _CONSOLE[figure]
            return bool(sums.get(KEY, {}).get(column, 0) > sums.get(good_client.KEY, {}).get(column, 0))

        return _within(is_above)

    def console_refusals(self) -> list[str]:
        """The codes of the refusals of the flooding account, as "Refusals" of the console has them."""
        return sorted({row["code"] for row in self._console("refusals")["refusals"] if row["account"] == KEY})

    def log_names(self) -> bool:
        """Wait until the log has a line that names the flooding account."""
        return _within(lambda: f"Account {KEY}: " in self._log.read_text(errors="replace"))


def _within(condition: Callable[[], bool], seconds: float = _TOLD_WITHIN) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True
