"""Every frame of the contract byte for byte, and its encodings. The client's tests read the same vectors."""

import json

import pytest

from cometify.core import encodings, errors, frames
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from tests.samples import vectors

VECTORS = vectors("frames")


def frame_of(kind, given):
    if kind == "push":
        push_id = None if given["push_id"] is None else int(given["push_id"])
        draft = Draft(
            Identifier.read(given["identifier"]),
            given.get("text", ""),
            False,
            push_id,
            None,
            data=given.get("data"),
            event=given.get("event"),
        )
        return frames.push_frame(draft, given["position"])
    if kind == "error":
        code = getattr(errors, given["code"].upper())
        return frames.error_frame(errors.Refused(code, given["detail"]))
    makers = {
        "ready": frames.ready_frame,
        "heartbeat": frames.heartbeat_frame,
        "gap": frames.gap_frame,
        "reconnect": frames.reconnect_frame,
    }
    return makers[kind](**given)


def test_vectors_have_every_type_of_frame():
    assert {row["type"] for row in VECTORS["frames"]} == {"push", "ready", "heartbeat", "gap", "error", "reconnect"}


@pytest.mark.parametrize("row", VECTORS["frames"], ids=lambda row: row["type"])
def test_frame_is_that_of_its_vector(row):
    assert frame_of(row["type"], row["given"]).decode() == row["json"]


@pytest.mark.parametrize("row", VECTORS["forms"], ids=lambda row: json.loads(row["json"])["type"])
@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        (encodings.STREAM_UNCHUNKED, "line"),
        (encodings.POLL, "line"),
        (encodings.STREAM, "line_chunked"),
        (encodings.EVENTS_UNCHUNKED, "event"),
        (encodings.EVENTS, "event_chunked"),
    ],
)
def test_http_encoding_is_that_of_its_vector(row, encoding, name):
    assert encoding.encode(row["json"].encode(), row["position"]).decode() == row[name]


@pytest.mark.parametrize("row", VECTORS["forms"], ids=lambda row: json.loads(row["json"])["type"])
def test_websocket_encoding_is_that_of_its_vector(row):
    assert encodings.WEBSOCKET.encode(row["json"].encode(), row["position"]).hex() == row["websocket"]
