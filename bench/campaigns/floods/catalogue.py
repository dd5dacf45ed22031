"""The floods of one account, from 64 connections. The account has every right, unlike the attackers of `campaigns/attacks`."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlencode

from bench.campaigns.attacks.attack import Attack
from bench.rig import wire
from bench.rig.account import KEY

CONNECTIONS = 64
STAYING = 5_000
"""Listeners that stay, if no quota refuses them. Those of 64 connections would not be a flood."""
_TEXT = "x" * 60
_LONG = "x" * 60_000
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_AT_ONCE = 20
"""Pushes of one payload."""


@dataclass(frozen=True)
class Flood:
    """`figure`: the metric of accounts that must name the culprit, without `cometify_account_`.

    `identifiers`: True if each push has an identifier of its own. `text`: the characters of a push.
    `most_p99`: the most seconds of the server's CPU from a push of the good client to its frame, at the 99th percentile. The
    wall clock has the other work of the processors too: the flooding process, and all else that runs on this machine.
    """

    attack: Attack
    figure: str
    identifiers: bool = False
    text: int = len(_TEXT)
    most_p99: float = 0.020

    @property
    def pushes(self) -> bool:
        """True if it pushes, False if it listens."""
        return self.figure.startswith("push")

    @property
    def name(self) -> str:
        """The name of the flood."""
        return self.attack.name


def _push(identifier: str, text: str) -> bytes:
    body = urlencode({"text": text, "secret": 0, "secure": wire.secure(identifier, text)}).encode()
    return wire.request("POST", f"/{KEY}/push/{identifier}", _FORM, body)


def _pushes(identifier: Callable[[int], str], text: str, at_once: int = _AT_ONCE) -> Callable[[int], bytes]:
    """Return payloads of pushes. Each text is another one, so that each signature must be remembered."""
    numbers = count()

    def payload(_n: int) -> bytes:
        taken = [next(numbers) for _ in range(at_once)]
        return b"".join(_push(identifier(number), f"{number:08}{text}"[: len(text)]) for number in taken)

    return payload


def _listener() -> Callable[[int], bytes]:
    """Return payloads of WebSockets that listen to an identifier each."""
    numbers = count()
    return lambda _n: wire.request("GET", f"/{KEY}/websocket?identifiers=own{next(numbers)}", wire.UPGRADE)


FLOODS = {
    flood.name: flood
    for flood in (
        Flood(
            Attack("pushes", _pushes(lambda number: f"few{number % CONNECTIONS}", _TEXT), connections=CONNECTIONS),
            "pushes_total",
        ),
        Flood(
            Attack("bytes", _pushes(lambda number: f"few{number % CONNECTIONS}", _LONG, 1), connections=CONNECTIONS),
            "push_bytes_total",
            text=len(_LONG),
        ),
        Flood(
            Attack("identifiers", _pushes(lambda number: f"own{number}", _TEXT), connections=CONNECTIONS),
            "pushes_total",
            identifiers=True,
        ),
        Flood(
            Attack("listeners that stay", _listener(), then="stay", connections=CONNECTIONS, most=STAYING), "listeners"
        ),
        Flood(
            Attack("listeners that come and go", _listener(), then="reconnect", connections=CONNECTIONS), "joins_total"
        ),
        Flood(Attack("5,000 listeners at once", _listener(), then="hold", connections=STAYING), "listeners"),
    )
}
"""All floods by their names."""
