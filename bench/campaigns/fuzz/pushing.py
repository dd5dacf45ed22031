"""Pushes and batches: right ones, and those with odd parameters, bodies and proofs."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote, urlencode

from bench.campaigns.fuzz.draw import ODD_VALUES, Draw, as_json, break_bytes, broken_json
from bench.campaigns.fuzz.requests import Request
from bench.campaigns.fuzz.target import ACCOUNTS, MARK, OPEN_KEYS
from bench.rig.wire import md5

NAMES = ("chat", "Chat", "room1", "room2", "a", "b" * 60)
ODD_NAMES = (
    *NAMES, "b" * 61, "1x", "ch_t", "", "a:b", "é", "chat\n", "chat ", "\0", "..", "chat,room1",
    "room.1", "a-b", "c." * 50, "c." * 51, "-a", ".a", "a.b\n",
)  # fmt: skip
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"
_TYPES = (
    _FORM, _JSON, "multipart/form-data; boundary=BoUnD", "multipart/form-data", "multipart/form-data; boundary=",
    'multipart/form-data; boundary="', "multipart/mixed; boundary=BoUnD", "text/plain", "", " ",
    "application/json; charset=utf-16", "APPLICATION/JSON", "application/x-www-form-urlencoded; charset=latin-1",
    "*/*", ";" * 300, "a/b; c=" + '"\\' * 100,
)  # fmt: skip


def text(draw: Draw) -> str:
    """Return a text that holds the mark, by which it would be recognised in a log."""
    return MARK + draw.pick("", "hi", "a&b=c", "é😀", "%41%", "+ +", '{"a":1}', "\r\n", "x" * draw.randrange(300))


def _proof(key: str, identifier: str, words: str) -> str:
    return md5(key + md5(ACCOUNTS.get(key, "")) + identifier + words)


def fields(draw: Draw, key: str, identifier: str) -> dict[str, Any]:
    """Return the parameters of a right push, signed with `secure`."""
    words = text(draw)
    found: dict[str, Any] = {"text": words, "secret": draw.pick("0", "1"), "secure": _proof(key, identifier, words)}
    if draw.chance(0.3):
        found["push_id"] = str(draw.pick(0, 1, 7, 2**53, 2**63 - 1))
    if draw.chance(0.3):
        found["identifier"] = identifier
    return found


def odd_fields(draw: Draw, key: str, identifier: str) -> dict[str, Any]:
    """Return parameters of which some are wrong, missing or misspelled."""
    found = fields(draw, key, identifier)
    for _ in range(draw.pick(1, 1, 2)):
        name = draw.pick(*found, "push_id", "identifier", "data", "event", "except", "id", "channel", "x")
        if draw.chance(0.2):
            found.pop(name, None)
        else:
            found[name] = draw.choice(ODD_VALUES)
    return found or {"text": ""}


def _multipart(draw: Draw, parameters: dict[str, Any], *, odd: bool) -> bytes:
    parts = []
    for name, value in parameters.items():
        word = f'name="{name}"'
        extra = ""
        if odd:
            word = draw.pick(
                word, word, f"name={name}", "", f'{word}; filename="x"', f"name*=utf-8''{name}", f'name="{name}'
            )
            extra = draw.pick(
                "", "", "Content-Type: text/plain; charset=utf-16\r\n", "X: y\r\n" * 20, "Content-Length: 5\r\n"
            )
        parts.append(f"--BoUnD\r\nContent-Disposition: form-data; {word}\r\n{extra}\r\n{value}\r\n")
    return ("".join(parts) + "--BoUnD--\r\n").encode(errors="surrogatepass")


def body(draw: Draw, parameters: dict[str, Any], *, odd: bool = False) -> tuple[str, bytes]:
    """Return a content type, and the parameters in a body of this type."""
    kind = draw.randrange(3)
    if kind == 0:
        pairs = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        return _FORM, urlencode(pairs, errors="surrogatepass").encode()
    if kind == 1:
        return _JSON, as_json(draw, parameters)
    return "multipart/form-data; boundary=BoUnD", _multipart(draw, parameters, odd=odd)


def signed(draw: Draw, key: str, request: Request) -> None:
    """Add the headers of a v2 signature to a request."""
    stamp, nonce = str(draw.clock), draw.randbytes(12).hex()
    given = dict(request.headers)
    lines = [
        "v2", request.method, request.target.partition("?")[0], stamp, nonce, given.get("Content-Type", ""),
        given.get("Idempotency-Key", ""), hashlib.sha256(request.body).hexdigest(),
    ]  # fmt: skip
    signature = hmac.digest(
        ACCOUNTS.get(key, "").encode(), "\n".join(lines).encode("latin-1", "replace"), "sha256"
    ).hex()
    request.headers += [
        ("Cometify-Timestamp", stamp),
        ("Cometify-Nonce", nonce),
        ("Cometify-Signature", signature),
    ]


def push(draw: Draw) -> Request:
    """Return a right push in one of its forms."""
    key, identifier = draw.choice(OPEN_KEYS), draw.choice(NAMES)
    parameters = fields(draw, key, identifier)
    proof = draw.pick("secure", "secure", "bearer", "v2")
    if proof != "secure":
        del parameters["secure"]
    if proof != "secure" and draw.chance(0.2):
        parameters["data"] = {"words": parameters.pop("text"), "value": draw.choice(ODD_VALUES)}
        kind, data = _JSON, as_json(draw, parameters)
    else:
        kind, data = body(draw, parameters)
    request = Request("POST", f"/{key}/push/{identifier}", [("Content-Type", kind)], data)
    if draw.chance(0.1):
        request.headers.append(("Idempotency-Key", f"key{draw.randrange(50)}"))
    if proof == "bearer":
        request.headers.append(("Authorization", f"Bearer {ACCOUNTS[key]}"))
    elif proof == "v2":
        signed(draw, key, request)
    return request


def batch(draw: Draw) -> Request:
    """Return a batch, right or with broken JSON."""
    key = draw.choice(list(ACCOUNTS))
    pushes = [
        {"identifier": draw.choice(NAMES), "text": text(draw), "secret": draw.pick(0, 1)}
        for _ in range(draw.randrange(4))
    ]
    data = as_json(draw, pushes) if draw.chance(0.6) else broken_json(draw, pushes)
    request = Request("POST", f"/{key}/push", [("Content-Type", _JSON)], data)
    if draw.chance(0.7):
        signed(draw, key, request)
    else:
        request.headers.append(("Authorization", f"Bearer {ACCOUNTS[key]}"))
    return request


def odd_push(draw: Draw) -> Request:
    """Return a push of which a part is wrong: its path, its parameters, the bytes of its body, its type or its proof."""
    key = draw.pick(*ACCOUNTS, "nokey", "k" * 65, "latest")
    identifier = draw.choice(ODD_NAMES) if draw.chance(0.3) else draw.choice(NAMES)
    kind, data = body(draw, odd_fields(draw, key, identifier), odd=True)
    if draw.chance(0.3):
        data = break_bytes(draw, data)
    if draw.chance(0.3):
        kind = draw.choice(_TYPES)
    request = Request("POST", f"/{key}/push/{quote(identifier)}", [("Content-Type", kind)], data)
    if draw.chance(0.15):
        signed(draw, key, request)
    if draw.chance(0.1):
        request.headers.append(
            ("Authorization", draw.pick("Bearer", "Bearer x", "Basic eDp5", f"bearer  {ACCOUNTS['bench']} "))
        )
    if draw.chance(0.1):
        request.headers.append(("Idempotency-Key", draw.pick("", "k" * 129, "a b", "k\t", "key1")))
    return request
