"""The contract of the places that keep records."""

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred


class StoreError(Exception):
    """The store cannot be used now. The message is for the log and for the operator who wants to change an account."""


@attrs.frozen
class Version:
    """The state that a reader knows. `origin`: tells one store from another. `number`: grows with each change.

    `mark`: tells two states with the same number apart.
    """

    origin: str
    number: int
    mark: str = ""


@attrs.frozen
class Changes:
    """Texts by API key. None stands for a record that was removed.

    `is_whole`: these are all records, and what is not among them is not there. `has_lost`: the store is another one than
    before, or has lost changes.
    """

    version: Version
    records: Mapping[str, str | None]
    is_whole: bool
    has_lost: bool = False


class IAccountStore(Protocol):
    """Keeps one text for each API key. All Deferreds fail with `StoreError`."""

    look_every: float
    """Seconds between two looks for changes."""

    def start(self, announced: Callable[[], None]) -> None:
        """Begin. `announced` is called when the store announces a change by itself, and when it can be reached again."""

    def read_before_serving(self) -> Changes | None:
        """Read everything before anybody is served, when waiting harms nobody. None: ask `read`. Raises `StoreError`."""

    def stop(self) -> None:
        """End. Everything that waits for an answer fails."""

    def read(self, known: Version | None) -> Deferred[Changes | None]:
        """Read what has changed since `known`, None for everything. The result is None if nothing has."""

    def change(self, api_key: str, before: str | None, after: str | None) -> Deferred[bool]:
        """Replace a text if it still is `before`. None: there is none. The result is False if it was another one."""
