"""The server's answers to questions of back ends: the identifiers in use, the kept pushes, and the usage of the account."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from .pushes import ABSENT


@dataclass(frozen=True, slots=True)
class IdentifierUse:
    """The use of an identifier.

    - `identifier`: in lower case.
    - `listeners`: those that have joined now, on all servers.
    - `kept`, `bytes`: the number of pushes that are kept, and the bytes of their frames.
    - `position`: of the newest kept push, or None.
    """

    identifier: str
    listeners: int
    kept: int
    bytes: int
    position: int | None


@dataclass(frozen=True, slots=True)
class IdentifierDetails:
    """The use of one identifier, with two more fields.

    - `transports`: the listeners by transport.
    - `secret_listeners`: the number of them that have a right to secret pushes.
    """

    identifier: str
    listeners: int
    kept: int
    bytes: int
    position: int | None
    transports: Mapping[str, int]
    secret_listeners: int


@dataclass(frozen=True, slots=True)
class KeptPush:
    """A push that is kept. It has a `text`, or else `data`; the other one is None or ABSENT."""

    identifier: str
    push_id: int | None
    position: int
    secret: bool
    text: str | None = None
    data: object = ABSENT
    event: str | None = None


@dataclass(frozen=True, slots=True)
class KeptPushes:
    """Some of the pushes that are kept, oldest first.

    - `gap`: True if pushes after the position that you gave may be missing.
    - `next`: give it as `after` to get the next ones. None: these are the last.
    """

    pushes: list[KeptPush]
    gap: bool
    next: int | None


@dataclass(frozen=True, slots=True)
class IdentifierPage:
    """A page of a list of identifiers. `next`: the `after` of the next page, or None."""

    identifiers: list[IdentifierUse]
    next: str | None


@dataclass(frozen=True, slots=True)
class UsagePeriod:
    """The usage of the account in an hour or a day.

    - `begins`: its first second, in UTC.
    - `pushes`, `push_bytes`: accepted pushes, and the bytes of their texts or of their JSON.
    - `deliveries`, `delivered_bytes`: pushes that were written to listeners, once for each listener, and the bytes of these.
    - `gaps`: gaps that listeners were told.
    - `most_listeners`: the most listeners at once.
    - `refused`: refused requests and listeners, by the code of the server.
    """

    begins: datetime
    pushes: int
    push_bytes: int
    deliveries: int
    delivered_bytes: int
    gaps: int
    most_listeners: int
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of the account.

    - `listeners`: those of now, on all servers.
    - `secrets`: the names of the API secrets that are accepted: "newest", and "older" while one is being replaced.
    - `hour`: the current hour.
    - `days`: 31 days, today first.
    """

    listeners: int
    secrets: list[str]
    hour: UsagePeriod
    days: list[UsagePeriod]


def read_page(answer: object) -> IdentifierPage:
    """Read a page of identifiers. Raises KeyError, TypeError or ValueError if it cannot."""
    page = _object(answer)
    uses = [IdentifierUse(*_use(_object(row))) for row in page["identifiers"]]
    return IdentifierPage(uses, page["next"])


def read_details(answer: object) -> IdentifierDetails:
    """Read the details of an identifier. Raises as `read_page` does."""
    row = _object(answer)
    transports = {str(name): int(number) for name, number in _object(row["transports"]).items()}
    return IdentifierDetails(*_use(row), transports, int(row["secret_listeners"]))


def read_kept(answer: object) -> KeptPushes:
    """Read a list of kept pushes. Raises as `read_page` does."""
    page = _object(answer)
    return KeptPushes([_push(_object(frame)) for frame in page["pushes"]], page["gap"] is True, _integer(page["next"]))


def read_usage(answer: object) -> Usage:
    """Read the usage of the account. Raises as `read_page` does."""
    usage = _object(answer)
    listeners, secrets = int(usage["listeners"]), list(map(str, usage["secrets"]))
    return Usage(listeners, secrets, _period(usage["hour"]), list(map(_period, usage["days"])))


def _period(value: object) -> UsagePeriod:
    period = _object(value)
    pushed = int(period["pushes"]), int(period["push_bytes"])
    delivered = int(period["deliveries"]), int(period["delivered_bytes"])
    refused = {str(code): int(count) for code, count in _object(period["refused"]).items()}
    listening = int(period["gaps"]), int(period["most_listeners"])
    return UsagePeriod(datetime.fromisoformat(period["begins"]), *pushed, *delivered, *listening, refused)


def _use(row: Mapping[str, Any]) -> tuple[str, int, int, int, int | None]:
    counts = int(row["listeners"]), int(row["kept"]), int(row["bytes"])
    return str(row["identifier"]), *counts, _integer(row["position"])


def _push(frame: Mapping[str, Any]) -> KeptPush:
    return KeptPush(
        str(frame["identifier"]),
        _integer(frame["push_id"]),
        int(frame["position"]),
        frame["secret"] == 1,
        frame.get("text"),
        frame.get("data", ABSENT),
        frame.get("event"),
    )


def _integer(value: object) -> int | None:
    """Read an integer, which is a string of digits where browsers would round it."""
    return None if value is None else int(cast("int | str", value))


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value
