"""Listening, pushing, and reading answers for all files of this folder."""

import json
from typing import Any

from tests.memory import START, Wire, World
from tests.wire import API_KEY, API_SECRET, Answer, form, request_bytes, secure

SECOND = 1_000_000
OPEN = ("websocket", "stream", "events")
TRANSPORTS = (*OPEN, "poll")
FORM = "application/x-www-form-urlencoded"
PROBLEM = "application/problem+json"

__all__ = [
    "API_KEY", "API_SECRET", "FORM", "OPEN", "PROBLEM", "SECOND", "START", "TRANSPORTS",
    "by_frame", "by_query", "code_of", "gaps", "kinds", "positions", "post", "refusal", "texts",
]  # fmt: skip


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def texts(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["text"] for frame in frames if frame["type"] == "push"]


def positions(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["position"] for frame in frames if frame["type"] == "push"]


def gaps(frames: list[dict[str, Any]]) -> list[list[str]]:
    return [frame["identifiers"] for frame in frames if frame["type"] == "gap"]


def by_query(world: World, transport: str, query: str, **more: Any) -> Wire:
    """Listen by query on a transport."""
    if transport == "websocket":
        return world.websocket(query, **more)
    key = more.pop("key", API_KEY)
    return world.request("GET", f"/{key}/{transport}?{query}", **more)


def by_frame(world: World, transport: str, *groups: dict[str, Any], host: str = "10.0.0.1", **more: Any) -> Wire:
    """Listen by a frame, on the transports that take one."""
    if transport == "websocket":
        wire = world.websocket(host=host)
        wire.listen(*groups, **more)
        return wire
    body = json.dumps({"type": "listen", "groups": groups, **more}).encode()
    return world.request("POST", f"/{API_KEY}/{transport}", body, host=host)


def post(world: World, path: str, body: bytes, content_type: str | None = FORM) -> Answer:
    headers = {} if content_type is None else {"Content-Type": content_type}
    wire = world.connect()
    wire.receive(request_bytes("POST", path, body, headers))
    return wire.answer()


def fields(identifier: str, text: str, /, **more: str | bytes) -> dict[str, str | bytes]:
    """The parameters of a push that is in order."""
    return {"identifier": identifier, "text": text, "secret": "0", "secure": secure(identifier, text), **more}


def push_fields(world: World, path_identifier: str, values: dict[str, str | bytes]) -> Answer:
    return post(world, f"/{API_KEY}/push/{path_identifier}", form(values))


def code_of(answer: Answer) -> str:
    """The code of a problem document, which must be whole."""
    document = answer.json
    assert answer.headers["content-type"] == PROBLEM
    assert document["status"] == answer.status
    assert document["title"]
    assert document["detail"]
    return document["code"]


def refusal(wire: Wire) -> tuple[str, int]:
    """(code, HTTP status or close code) of a listener that was refused."""
    status, headers = wire.head
    if wire.is_websocket:
        error, close = wire.frames()
        assert error["type"] == "error"
        assert error["detail"]
        return error["code"], close["code"]
    if headers["content-type"] == "text/event-stream":
        (error,) = wire.frames()
        assert error["type"] == "error"
        return error["code"], status
    return code_of(wire.answer()), status
