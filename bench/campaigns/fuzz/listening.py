"""Requests to listen: queries, `listen` frames, secureKeys and tokens, right ones and broken ones."""

import hmac
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import quote

from bench.campaigns.fuzz.draw import ODD_VALUES, Draw, as_json, break_bytes, broken_json
from bench.campaigns.fuzz.pushing import NAMES, ODD_NAMES
from bench.campaigns.fuzz.requests import Request
from bench.campaigns.fuzz.target import ACCOUNTS
from bench.rig.wire import compact, md5

TRANSPORTS = ("poll", "poll", "poll", "stream", "events", "websocket", "position")
_ALGORITHMS = ("none", "hs256", "HS512", "RS256", "", None, ["HS256"])


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def token(draw: Draw, key: str, *, odd: bool = False) -> str:
    """Return a token of the account."""
    header: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
    claims: dict[str, Any] = {"exp": draw.clock + 3600, "identifiers": draw.pick(["*"], ["chat", "room*"], "chat")}
    if odd:
        header[draw.pick("alg", "kid", "crit", "b64", "x")] = draw.pick(*_ALGORITHMS, *ODD_VALUES)
        claims[draw.pick("exp", "nbf", "identifiers", "sub", "iat")] = draw.choice(ODD_VALUES)
    signed = f"{_encode(as_json(draw, header))}.{_encode(as_json(draw, claims))}"
    whole = f"{signed}.{_encode(hmac.digest(ACCOUNTS.get(key, '').encode(), signed.encode(), 'sha256'))}"
    return break_bytes(draw, whole.encode()).decode("latin-1") if odd and draw.chance(0.4) else whole


def secure_key(key: str, names: list[str]) -> str:
    """Return the account's key to the secret pushes of these identifiers."""
    return md5(key + ACCOUNTS.get(key, "") + md5(",".join(names)))


def _names(draw: Draw) -> list[str]:
    return list(dict.fromkeys([draw.choice(NAMES), *draw.some(NAMES, 2)]))


def _position(draw: Draw) -> int:
    return draw.pick(
        0, draw.clock * 1_000_000 - draw.randrange(700_000_000), 2**53 - 1, (draw.clock + 3600) * 1_000_000
    )


def group(draw: Draw, key: str) -> dict[str, Any]:
    """Return a right group of a `listen` frame."""
    names = list({name.lower(): name for name in _names(draw)}.values())
    with_ids = draw.chance(0.3)
    found: dict[str, Any] = {"identifiers": {name: draw.pick(0, 0, 5) for name in names} if with_ids else names}
    right = draw.pick("", "", "secureKey", "token")
    if right == "secureKey":
        found[right] = secure_key(key, names)
    elif right == "token":
        found[right] = token(draw, key)
    if draw.chance(0.3):
        found["position"] = _position(draw)
    return found


def listen(draw: Draw, key: str) -> dict[str, Any]:
    """Return a right `listen` frame."""
    frame: dict[str, Any] = {"type": "listen", "groups": [group(draw, key) for _ in range(draw.pick(1, 1, 1, 2, 5))]}
    if draw.chance(0.3):
        frame["listener"] = f"listener{draw.randrange(100)}"
    return frame


def odd_listen(draw: Draw, key: str) -> bytes:
    """Return a `listen` frame of which something is wrong, or that is not JSON."""
    frame = listen(draw, key)
    if draw.chance(0.3):
        frame["groups"][0]["token"] = token(draw, key, odd=True)
    elif draw.chance(0.2):
        frame["groups"][0]["secureKey"] = draw.pick("0" * 32, "", "x", "é" * 32, "0" * 5000)
    elif draw.chance(0.2):
        frame["groups"][0]["identifiers"] = draw.some(ODD_NAMES, 4)
    return broken_json(draw, frame) if draw.chance(0.7) else compact(frame)


def query(draw: Draw, key: str) -> str:
    """Return a right query."""
    names = list({name.lower(): name for name in _names(draw)}.values())
    with_ids = draw.chance(0.3)
    parts = ["identifiers=" + ",".join(f"{name}:{draw.pick(0, 7)}" if with_ids else name for name in names)]
    right = draw.randrange(5)
    if right == 0:
        parts.append("secureKey=" + secure_key(key, names))
    elif right == 1:
        parts.append("token=" + token(draw, key))
    if draw.chance(0.2):
        parts.append(f"position={_position(draw)}")
    if draw.chance(0.2):
        parts.append(f"listener=listener{draw.randrange(100)}")
    return "&".join(parts)


def odd_query(draw: Draw, key: str) -> str:
    """Return a query of which something is wrong."""
    if draw.chance(0.5):
        broken = break_bytes(draw, query(draw, key).encode()).decode("latin-1")
        return broken.replace("\r", "").replace("\n", "").replace(" ", "+")
    parts = [query(draw, key)] if draw.chance(0.6) else []
    values = [
        "",
        "x",
        "0",
        "-1",
        "9" * 5000,
        "9007199254740992",
        "%ff",
        "%00",
        "a,a",
        "a:b",
        "chat:",
        ":",
        ",",
        "a:1,b",
        "%",
        "1e3",
    ]
    names = ("identifiers", "secureKey", "token", "position", "listener", "form", "x", "")
    parts += [f"{draw.choice(names)}={draw.choice(values)}" for _ in range(draw.pick(1, 2, 4))]
    if draw.chance(0.2):
        parts.append("identifiers=" + quote(draw.choice(ODD_NAMES)))
    if draw.chance(0.2):
        odd = token(draw, key, odd=True)
        parts.append("token=" + quote(odd))
    draw.shuffle(parts)
    return draw.pick("&", "&", ";", "&&").join(parts)


def by_query(draw: Draw, transport: str, *, odd: bool = False) -> Request:
    """Return a GET that listens by its query."""
    key = draw.choice(list(ACCOUNTS))
    words = odd_query(draw, key) if odd else query(draw, key)
    return Request("GET", f"/{key}/{transport}?{words}", _accept(transport), endless=transport != "poll")


def by_frame(draw: Draw, transport: str, *, odd: bool = False) -> Request:
    """Return a POST that listens by a `listen` frame."""
    key = draw.choice(list(ACCOUNTS))
    data = odd_listen(draw, key) if odd else compact(listen(draw, key))
    kind = draw.pick("text/plain;charset=UTF-8", "application/json", "application/x-www-form-urlencoded", "x")
    return Request("POST", f"/{key}/{transport}", [("Content-Type", kind)], data, endless=transport != "poll")


def _accept(transport: str) -> list[tuple[str, str]]:
    return [("Accept", "text/event-stream")] if transport == "events" else []
