"""The file that holds the cursor of a listener over restarts of the command."""

import json
import os
from pathlib import Path

import click

from cometify.config.named_files import read_at_most

_FIELDS = ("server", "api_key", "channels", "position")
_MOST_BYTES = 64 << 10


class PositionFile:
    """`server`, `api_key`, `channels`: of the listener. The file of another listener is refused: its cursor means nothing here.

    The file is written beside its place and then moved there. So a process that is killed leaves the old one or the new one.
    """

    def __init__(self, path: Path, server: str, api_key: str, channels: str) -> None:
        self._path = path
        self._owner = {"server": server, "api_key": api_key, "channels": channels}

    def read(self) -> int | None:
        """Return the cursor, or None if there is no file yet. Raises `ClickException`."""
        try:
            held = json.loads(read_at_most(self._path, _MOST_BYTES).decode())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise click.ClickException(f"{self._path} cannot be read: {error.strerror}.") from None
        except ValueError:
            raise self._foreign("It is not a file of this command") from None
        if not isinstance(held, dict) or set(held) != set(_FIELDS) or type(held["position"]) is not int:
            raise self._foreign("It is not a file of this command")
        for name, value in self._owner.items():
            if held[name] != value:
                raise self._foreign(f"It belongs to {held['channels']} of {held['api_key']} at {held['server']}")
        return held["position"]

    def write(self, position: int) -> None:
        """Replace the file. Raises `ClickException`."""
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with beside.open("w", encoding="utf-8") as opened:
                opened.write(json.dumps({**self._owner, "position": position}) + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            beside.replace(self._path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise click.ClickException(f"{self._path} cannot be written: {error.strerror}.") from None

    def _foreign(self, why: str) -> click.ClickException:
        return click.ClickException(f"{self._path} is not used. {why}: move it away, or name another file.")
