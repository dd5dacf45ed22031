"""Attacks on a server with Redis. A push takes more turns of the event loop there, so the good client waits for more.

The batches come from an account that has every right. Other accounts of the server are strangers to it.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from bench.campaigns.attacks.attack import MEGABYTE, Attack, Bounds
from bench.rig import wire
from bench.rig.account import KEY, SECRET

_PUSHES = 100
"""The most pushes of a batch."""
_IDENTIFIERS = 100
"""The most identifiers of a listener."""
_REPETITIONS = 10
"""The groups that name each of them. A listener may name 1,000 in all."""


def signed_batch(pushes: list[dict[str, object]]) -> Callable[[int], bytes]:
    """Return payloads of one batch, each with a signature of its own."""
    body = wire.compact(pushes)
    digest = hashlib.sha256(body).hexdigest()

    def payload(_n: int) -> bytes:
        timestamp, nonce, path = str(int(time.time())), secrets.token_hex(16), f"/{KEY}/push"
        signed = f"v2\nPOST\n{path}\n{timestamp}\n{nonce}\napplication/json\n\n{digest}"
        headers = {
            "Content-Type": "application/json",
            "Cometify-Timestamp": timestamp,
            "Cometify-Nonce": nonce,
            "Cometify-Signature": hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256).hex(),
        }
        return wire.request("POST", path, headers, body)

    return payload


def _texts(text: str) -> list[dict[str, object]]:
    return [{"identifier": f"batch{n}", "text": text, "secret": 0} for n in range(_PUSHES)]


def _data(data: object) -> list[dict[str, object]]:
    return [{"identifier": f"batch{n}", "data": data, "secret": 0} for n in range(_PUSHES)]


def _listen_frames(n: int) -> bytes:
    """Return a frame that names as much as a listener may. Each frame names other identifiers than the one before it."""
    names = [f"n{n % 50}x{number}" for number in range(_IDENTIFIERS)]
    groups = [{"identifiers": dict.fromkeys(names, place)} for place in range(1, _REPETITIONS + 1)]
    return wire.frame(wire.compact({"type": "listen", "groups": groups}), wire.TEXT)


_SHORT_TURN = Bounds(turn=0.015)
"""Each turn of the event loop has a portion of one batch, or joins for a millisecond."""
_BATCHED = Bounds(turn=0.015, memory=80 * MEGABYTE)
"""All long bodies together have 32 MiB, and the items that are read from them as much again."""

_BATCHES = [
    Attack("batches of 100 pushes of 60 KB, with Redis", signed_batch(_texts("y" * 60_000)), bounds=_BATCHED),
    Attack(
        "batches of 100 pushes of 40 KB of line ends, with Redis",
        signed_batch(_texts("\n" * 40_000)),
        bounds=_BATCHED,
    ),
    Attack(
        "batches of 100 pushes of 55 KB of data, with Redis",
        signed_batch(_data(["y" * 500] * 110)),
        bounds=_BATCHED,
    ),
]

_JOINS = [
    Attack(
        "WebSockets that listen to 1,000 names, again and again, with Redis",
        _listen_frames,
        opening=wire.request("GET", f"/{KEY}/websocket", wire.UPGRADE),
        connections=30,
        bounds=_SHORT_TURN,
    ),
]

ATTACKS_WITH_REDIS = {attack.name: attack for attack in [*_BATCHES, *_JOINS]}
"""All attacks on a server with Redis, by their names."""
