"""The server under the fuzz campaign: its accounts, its secrets, and the mark that every pushed text holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.campaigns.attacks import good_client
from bench.campaigns.attacks.victim import Victim, running_victim
from bench.rig.account import KEY, SECRET

HEARTBEAT = 1
"""Seconds between two heartbeats. A poll for which nothing comes is answered after so long."""
MARK = "zqmarkqz"
"""Stands in every text that the campaign pushes, so that a text in a log is seen."""
ACCOUNTS = {
    KEY: SECRET,
    "signed": "signed-secret-of-the-campaign",
    "sites": "sites-secret-of-the-campaign",
    "paced": "paced-secret-of-the-campaign",
}
"""API secrets by API key."""
OPEN_KEYS = (KEY, KEY, KEY, "sites", "paced")
"""API keys of accounts that take every proof, most often the first."""
SECRETS = (*ACCOUNTS.values(), good_client.SECRET)
"""Texts that no log may hold."""

_SMALL = "buffer_pushes = 50\nsignature_memory = 1000\nlisteners_per_ip = 60\n"
"""What an account may keep is small, so that the memory of a server at rest tells of leaks alone."""
_MORE = {
    "signed": 'signatures = "v2"\n',
    "sites": 'origins = ["https://good.example"]\nidentifiers = "extended"\n',
    "paced": "pushes_per_second = 5\npush_burst = 5\nlisteners = 5\n",
}
ACCOUNT_LINES = _SMALL + "".join(
    f'\n[[account]]\napi_key = "{key}"\napi_secret = "{ACCOUNTS[key]}"\n{_SMALL}{lines}' for key, lines in _MORE.items()
)
"""The rest of the first account's table, and the tables of the others."""


@contextmanager
def running_target(folder: Path, twistd: list[str], environment: dict[str, str] | None = None) -> Iterator[Victim]:
    """Run the server during the block. `twistd` is the command. Raises NotStarted."""
    settings = f"heartbeat = {HEARTBEAT}\n"
    with running_victim(folder, twistd, environment, settings=settings, account_lines=ACCOUNT_LINES) as victim:
        yield victim
