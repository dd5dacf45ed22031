"""openapi.json and asyncapi.json are valid, and say what the server does: requests are made from the one, and the frames of a
real server are held against the other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.samples import vectors
from tests.wire import API_KEY, API_SECRET

ENDLESS = ("listenByStream", "listenByStreamWithFrame", "listenByEventStream", "listenByWebSocket")
"""Operations whose answers do not end."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
JSON = {"Content-Type": "application/json"}
CONFIG = f"""
[parameters]
"path.apiKey" = "{API_KEY}"
[phases.fuzzing.generation]
mode = "positive"
"""
"""Wrong values come from the phase of coverage, which tries each bound. Random ones would be longer than a head can be."""
BEARER = {"Authorization": f"Bearer {API_SECRET}"}


@pytest.fixture(scope="module")
def openapi(server):
    return server.request("GET", "/openapi.json").json


@pytest.fixture(scope="module")
def asyncapi(server):
    return server.request("GET", "/asyncapi.json").json


@pytest.fixture(scope="module")
def frame_faults(openapi):
    """Call it with a frame to get the ways in which it is not as described."""
    validator = Draft202012Validator({**openapi, "$ref": "#/components/schemas/Frame"})
    return lambda frame: [error.message for error in validator.iter_errors(frame)]


def test_openapi_is_valid_and_names_every_operation(openapi):
    validate(openapi)
    operations = [operation for path in openapi["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all("security" in operation for operation in operations)


def test_frames_are_told_apart_by_their_type(openapi, frame_faults):
    mapping = openapi["components"]["schemas"]["Frame"]["discriminator"]["mapping"]
    for kind, where in mapping.items():
        schema = openapi["components"]["schemas"][where.rpartition("/")[2]]
        assert schema["properties"]["type"] == {"const": kind}
        assert "type" in schema["required"]
    assert frame_faults({"type": "push", "identifier": "chat", "push_id": None, "position": 1})
    assert frame_faults({"type": "heartbeat", "position": "1"})


def test_published_vectors_are_frames_as_described(frame_faults):
    frames = [json.loads(case["json"]) for case in vectors("frames")["frames"]]
    assert len(frames) > 5
    assert [(frame, frame_faults(frame)) for frame in frames if frame_faults(frame)] == []


def test_frames_of_a_server_are_as_described(server, frame_faults):
    with server.stream("identifiers=described") as stream:
        frames = [stream.joined()]
        for fields in ({"text": "Hello"}, {"data": {"a": [1]}, "event": "Created", "push_id": 7}):
            body = json.dumps({"secret": 0, **fields}).encode()
            answer = server.request("POST", f"/{API_KEY}/push/described", body, {**BEARER, **JSON})
            assert answer.status == 200, answer
            frames.append(stream.next("push"))
    with server.stream("identifiers=described&position=1") as late:
        frames += [late.frame() for _ in range(3)]
    assert {"ready", "push", "gap"} <= {frame["type"] for frame in frames}
    assert [(frame, frame_faults(frame)) for frame in frames if frame_faults(frame)] == []


def test_asyncapi_describes_the_same_frames(openapi, asyncapi):
    schemas = openapi["components"]["schemas"]
    messages = asyncapi["components"]["messages"]
    frames = {choice["$ref"].rpartition("/")[2] for choice in schemas["Frame"]["oneOf"]}
    assert messages.keys() == frames | {"Listen"}
    for name, message in messages.items():
        assert message["payload"] == {"$ref": f"./openapi.json#/components/schemas/{name}"}
        assert message["examples"]
        validator = Draft202012Validator({**openapi, "$ref": f"#/components/schemas/{name}"})
        for example in message["examples"]:
            assert list(validator.iter_errors(example["payload"])) == []
    assert {channel["address"] for channel in asyncapi["channels"].values()} <= openapi["paths"].keys()


def test_server_does_what_openapi_says(make_server, tmp_path: Path):
    server = make_server({"identifiers": "extended", "listeners_per_ip": 100_000}, heartbeat=1)
    document = tmp_path / "openapi.json"
    document.write_bytes(server.request("GET", "/openapi.json").body)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", document),
            *("--url", f"http://127.0.0.1:{server.port}", "--header", f"Authorization: Bearer {API_SECRET}"),
            *(part for name in ENDLESS for part in ("--exclude-operation-id", name)),
            *("--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", "3", "--seed", "1"),
            *("--request-timeout", "60", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 10" in done.stdout, done.stdout[-2000:]
