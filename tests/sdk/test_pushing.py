"""The libraries for back ends beside a real server: what they push arrives, and what they make is accepted."""

import base64
import hashlib
import hmac
import json
import re
import signal
import subprocess
from typing import Any

import pytest

from bench.rig.ports import free_port
from tests.certificates import make_certificate
from tests.conftest import Server
from tests.samples import vectors
from tests.sdk.conftest import SDK, Library, LibraryError, url_of
from tests.wire import API_KEY, secure_key

PUBLISHERS = vectors("publishers")
SIGNATURES = vectors("signatures")
TOP = 2**63 - 1
BAD_KEYS = ("", "a\r\nX-Injected: 1", " a", "a ", "a\n", "ü", "x" * 129)


def kept(server: Server, names: str, **more: str) -> list[dict[str, Any]]:
    """The pushes that are kept, as a listener with these parameters gets them."""
    query = "&".join([f"identifiers={names}", "position=1", *(f"{name}={value}" for name, value in more.items())])
    return [frame for frame in server.poll(query=query).frames if frame["type"] == "push"]


def refused(library: Library, method: str, **arguments: Any) -> str:
    """The code with which the library refuses arguments, without a request."""
    with pytest.raises(LibraryError) as caught:
        library.call(method, **arguments)
    assert caught.value.status is None
    assert caught.value.detail
    return caught.value.code


# Pushes.


def test_text_arrives_with_all_that_belongs_to_it(server, make):
    library = make(server.port)
    name = f"text_{library.language}"
    answer = library.push(name, 'Grüße \u2028"\\\n😀', pushId=7, event="created")
    assert answer == {
        "identifier": name,
        "pushId": 7,
        "position": answer["position"],
        "listeners": 0,
        "duplicate": False,
    }
    (push,) = kept(server, name)
    assert (push["text"], push["push_id"], push["event"]) == ('Grüße \u2028"\\\n😀', 7, "created")
    assert push["position"] == answer["position"]


@pytest.mark.parametrize(
    "value", [{"user": 59, "tags": ["a", "b"]}, [], [1, 2.5, None], 7, True, {"ü/": "\u2028"}], ids=str
)
def test_other_values_arrive_as_data(server, make, value):
    library = make(server.port)
    name = f"data_{library.language}"
    library.push(name, value)
    assert kept(server, name)[-1]["data"] == value


@pytest.mark.parametrize("push_id", [0, 2**53 - 1, str(2**53), str(TOP)])
def test_largest_push_id_is_not_rounded(server, make, push_id):
    library = make(server.port)
    answer = library.push(f"top_{library.language}", pushId=push_id)
    assert int(answer["pushId"]) == int(push_id)
    assert int(kept(server, f"top_{library.language}")[-1]["push_id"]) == int(push_id)


def test_named_listener_does_not_get_the_push(server, make):
    library = make(server.port)
    name, caused = f"except_{library.language}", "9f2c51d07ab34e18"
    library.push(name, "to the others", **{"except": caused})
    assert kept(server, name, listener=caused) == []
    assert [push["text"] for push in kept(server, name)] == ["to the others"]


def test_secret_push_needs_a_right_that_the_library_made(server, make):
    library = make(server.port)
    name = f"secret_{library.language}"
    library.push(name, "hush", secret=True)
    assert kept(server, name) == []
    rights = {
        "secureKey": library.call("secureKey", identifiers=[name]),
        "token": library.call("token", identifiers=[f"{name[:-2]}*"], seconds=60, sub="user_7"),
    }
    for kind, right in rights.items():
        assert [push["text"] for push in kept(server, name, **{kind: right})] == ["hush"]


def test_batch_is_pushed_in_its_order(server, make):
    library = make(server.port)
    name = f"batch_{library.language}"
    pushes = [
        {"identifier": name, "content": "one"},
        {"identifier": name, "content": {"two": 2}, "secret": False, "pushId": str(TOP), "event": "made"},
        {"identifier": name, "data": None, "secret": True},
    ]
    answers = library.call("batch", pushes=pushes)
    assert [answer["identifier"] for answer in answers] == [name] * 3
    assert [answer["pushId"] and int(answer["pushId"]) for answer in answers] == [None, TOP, None]
    first, second = kept(server, name)
    assert (first["text"], second["data"], second["event"]) == ("one", {"two": 2}, "made")
    assert library.call("batch", pushes=[]) == []


def test_wrong_push_of_a_batch_pushes_none(server, make):
    library = make(server.port)
    name = f"wrong_{library.language}"
    with pytest.raises(LibraryError, match="2") as caught:
        library.call("batch", pushes=[{"identifier": name, "content": "a"}, {"identifier": "a b", "content": "b"}])
    assert (caught.value.code, caught.value.maybe_pushed) == ("invalid_identifier", False)
    assert kept(server, name) == []


def test_position_is_that_of_the_newest_push(server, make):
    library = make(server.port)
    pushed = library.push()["position"]
    assert library.call("position") >= pushed


def test_one_key_pushes_once(server, make):
    library = make(server.port)
    name = f"once_{library.language}"
    key = f"order 1704 {name}"
    first = library.push(name, idempotencyKey=key)
    assert library.push(name, idempotencyKey=key) == {**first, "duplicate": True}
    with pytest.raises(LibraryError) as caught:
        library.push(name, "Another", idempotencyKey=key)
    assert (caught.value.code, caught.value.idempotency_key) == ("idempotency_mismatch", key)
    assert len(kept(server, name)) == 1
    assert library.push(name)["duplicate"] is False


def test_visitor_is_disconnected(server, make):
    library = make(server.port)
    subject = f"user_{library.language}"
    token = library.call("token", identifiers=["inbox"], seconds=60, sub=subject)
    with server.stream(f"identifiers=inbox&token={token}") as listener:
        listener.joined()
        assert library.call("disconnect", subject=subject) == 1
        assert listener.next("error")["code"] == "not_authorized"
    assert library.call("disconnect", listener="9f2c51d07ab34e18") == 0
    for wrong in ({}, {"subject": "a", "listener": "9f2c51d07ab34e18"}):
        assert refused(library, "disconnect", **wrong) == "invalid_parameter"


def test_identifiers_in_use_are_listed(server, make):
    library = make(server.port)
    names = [f"list_{library.language}_{letter}" for letter in "abc"]
    for name in names:
        library.push(name)
    found = library.call("identifiers", prefix=f"List_{library.language}")
    assert [(row["identifier"], row["kept"]) for row in found] == [(name, 1) for name in names]
    assert set(names) <= {row["identifier"] for row in library.call("identifiers")}


def test_one_identifier_is_told_with_its_listeners(server, make):
    library = make(server.port)
    name = f"one_{library.language}"
    with server.stream(f"identifiers={name}") as listener:
        listener.joined()
        row = library.call("identifier", identifier=name)
    assert (row["identifier"], row["listeners"], row["transports"]["stream"]) == (name, 1, 1)


def test_kept_pushes_are_listed_secret_ones_too(server, make):
    library = make(server.port)
    name = f"kept_{library.language}"
    first = library.push(name, {"a": 1}, pushId=str(TOP))["position"]
    library.push(name, "hush", secret=True)
    whole = library.call("pushes", identifier=name)
    assert [push["secret"] for push in whole["pushes"]] == [0, 1]
    assert (whole["pushes"][0]["data"], int(whole["pushes"][0]["push_id"])) == ({"a": 1}, TOP)
    page = library.call("pushes", identifier=name, after=first)
    assert ([push["text"] for push in page["pushes"]], page["gap"], page["next"]) == (["hush"], False, None)
    for method in ("identifier", "pushes"):
        assert refused(library, method, identifier="..") == "invalid_identifier"


def test_usage_is_told_by_hour_and_day(server, make):
    library = make(server.port)
    before = library.call("usage")
    library.push("usage", "é" * 10)
    after = library.call("usage")
    assert (len(after["days"]), after["listeners"]) == (31, before["listeners"])
    today, earlier = after["days"][0], before["days"][0]
    if today["begins"] == earlier["begins"]:
        assert (today["pushes"] - earlier["pushes"], today["push_bytes"] - earlier["push_bytes"]) == (1, 20)
    assert after["hour"]["pushes"] <= today["pushes"]
    assert after["secrets"] == ["newest"]


def test_account_token_reads_the_usage_and_pushes_nothing(server, make):
    library = make(server.port)
    headers = {
        "Authorization": f"Bearer {library.call('accountToken', seconds=60)}",
        "Content-Type": "application/json",
    }
    for path, status in (("usage", 200), ("identifiers", 200), ("identifiers/chat/pushes", 403)):
        assert server.request("GET", f"/{API_KEY}/{path}", None, headers).status == status
    body = b'{"text":"x","secret":0}'
    assert server.request("POST", f"/{API_KEY}/push/chat", body, headers).status == 403
    assert refused(library, "accountToken", seconds=0) == "invalid_parameter"


# Refusals.


def test_refusal_says_what_to_do(server, make):
    library = make(server.port)
    with pytest.raises(LibraryError, match="not an identifier") as caught:
        library.push("a b/ü")
    error = caught.value
    assert (error.code, error.status, error.maybe_pushed) == ("invalid_identifier", 400, False)
    assert "write 1 to 60" in error.detail


@pytest.mark.parametrize("bearer", [False, True])
def test_wrong_secret_is_refused_and_not_shown(server, make, bearer):
    library = make(url_of(server.port, "another-secret"), bearer=bearer)
    with pytest.raises(LibraryError) as caught:
        library.push("chat", "the text of it")
    assert (caught.value.code, caught.value.status) == ("not_authorized", 403)
    assert "another-secret" not in library.written
    assert "the text of it" not in library.written


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "missing_parameter"),
        ({"content": None}, "missing_parameter"),
        ({"content": "a", "data": 1}, "missing_parameter"),
        ({"identifier": "", "content": "a"}, "invalid_identifier"),
        ({"identifier": "..", "content": "a"}, "invalid_identifier"),
        *[({"content": "a", "idempotencyKey": key}, "invalid_parameter") for key in BAD_KEYS],
    ],
)
def test_push_that_cannot_be_sent_is_refused(make, arguments, code):
    assert refused(make(1), "push", **{"identifier": "chat", **arguments}) == code


def test_text_and_null_can_be_data(server, make):
    library = make(server.port)
    name = f"given_{library.language}"
    for value in ("a text", None):
        library.call("push", identifier=name, data=value)
    assert [push["data"] for push in kept(server, name)] == ["a text", None]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"content": "a", "push_id": 7}, "invalid_parameter"),
        ({"contents": "a"}, "invalid_parameter"),
        ({}, "missing_parameter"),
    ],
)
def test_wrong_push_of_a_batch_is_named(make, wrong, code):
    library = make(1)
    with pytest.raises(LibraryError, match=r"Push 2 of the batch: .*(push_id|contents|text or data)") as caught:
        library.call("batch", pushes=[{"identifier": "chat", "content": "a"}, {"identifier": "chat", **wrong}])
    assert caught.value.code == code


@pytest.mark.parametrize(
    "wrong",
    [
        {"identifiers": []},
        {"identifiers": ["a b"]},
        {"identifiers": ["a*b"]},
        {"identifiers": ["a\n"]},
        {"identifiers": ""},
        {"seconds": 0},
        {"sub": ""},
        {"sub": "x" * 129},
        {"sub": "a\nb"},
        {"sub": "a\u2028b"},
    ],
)
def test_token_that_no_server_takes_is_refused(make, wrong):
    assert refused(make(1), "token", **{"identifiers": ["chat"], "seconds": 60, **wrong}) == "invalid_parameter"
    if "identifiers" in wrong:
        assert refused(make(1), "secureKey", **wrong) == "invalid_parameter"


# Signatures, tokens and URLs.


@pytest.mark.parametrize(("signatures", "bearer"), [("v2", False), ("strong", False), ("strong", True)])
def test_account_that_demands_strong_signatures_is_served(make_server, make, signatures, bearer):
    server = make_server(account={"signatures": signatures})
    library = make(server.port, bearer=bearer)
    assert library.push()["identifier"] == "chat"
    assert len(library.call("batch", pushes=[{"identifier": "a", "content": ""}])) == 1
    assert library.call("disconnect", subject="user_7") == 0


def test_signatures_are_those_of_the_vectors(make):
    library = make(1)
    names = {"api_secret": "apiSecret", "content_type": "contentType", "idempotency_key": "idempotencyKey"}
    for row in SIGNATURES["v2"]:
        arguments = {names.get(name, name): value for name, value in row.items() if name != "signature"}
        assert library.call("signature", **arguments) == row["signature"], row


@pytest.mark.parametrize("row", SIGNATURES["secureKey"], ids=lambda row: row["identifiers"])
def test_secure_key_is_that_of_its_vector(make, row):
    library = make(f"http://{row['api_key']}:{row['api_secret']}@localhost:1")
    assert library.call("secureKey", identifiers=row["identifiers"].split(",")) == row["digest"]
    assert library.call("secureKey", identifiers=row["identifiers"]) == row["digest"]


@pytest.mark.parametrize("row", PUBLISHERS["tokens"], ids=lambda row: row["about"])
def test_token_has_the_claims_of_its_vector(make, row):
    library = make(url_of(1, row["api_secret"]))
    sub = {} if row["sub"] is None else {"sub": row["sub"]}
    token = library.call("token", identifiers=row["identifiers"], seconds=row["seconds"], **sub)
    signed, _, signature = token.rpartition(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
    assert header == {"alg": "HS256", "typ": "JWT"}
    assert claims["exp"] - claims["iat"] == row["seconds"]
    assert {**claims, "iat": row["claims"]["iat"], "exp": row["claims"]["exp"]} == row["claims"]
    digest = hmac.digest(row["api_secret"].encode(), signed.encode(), hashlib.sha256)
    assert signature == base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize("row", PUBLISHERS["urls"], ids=lambda row: row["about"])
def test_url_is_read_as_its_vector_says(make, row):
    library = make(row["url"])
    assert (library.key, library.server) == (row["api_key"], row["server"])
    assert library.call("secureKey", identifiers="a") == secure_key("a", key=row["api_key"], secret=row["api_secret"])


@pytest.mark.parametrize("row", PUBLISHERS["wrong_urls"], ids=lambda row: row["about"])
def test_wrong_url_is_refused_without_its_secret(make, row):
    with pytest.raises(LibraryError, match="KEY:SECRET@push") as caught:
        make(row["url"])
    assert caught.value.code == "invalid_url"
    assert "s3cret" not in caught.value.fields["shown"]


@pytest.mark.parametrize("row", PUBLISHERS["urls"], ids=lambda row: row["about"])
def test_secret_itself_is_sent_over_tls_and_to_loopback_alone(make, row):
    is_printable = row["api_secret"].isascii()
    if row["bearer"] and is_printable:
        make(row["url"], bearer=True)
        make(f"{row['url']}?bearer=1")
        return
    for url, options in ((row["url"], {"bearer": True}), (f"{row['url']}?bearer=1", {})):
        with pytest.raises(LibraryError, match="not sent to" if is_printable else "not printable ASCII") as caught:
            make(url, **options)
        assert caught.value.code == "invalid_url"
        assert row["api_secret"] not in caught.value.fields["shown"]


def test_url_is_read_from_the_environment(server, make):
    library = make("", {"COMETIFY_URL": url_of(server.port)})
    assert library.push()["identifier"] == "chat"


# A server that comes and goes, and TLS.


def test_object_goes_on_when_its_server_comes_back(make_server, make):
    server = make_server()
    library = make(server.port, timeout=10.0)
    library.push()
    for how in (signal.SIGTERM, signal.SIGKILL):
        server.stop(how)
        server.start()
        assert library.push()["identifier"] == "chat"


def test_request_goes_over_tls_to_a_server_that_is_trusted(make_server, make, tmp_path):
    make_certificate(tmp_path)
    port = free_port()
    tls = f"ssl:{port}:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1"
    make_server(http=[tls, f"tcp:{free_port()}:interface=127.0.0.1"])
    (tmp_path / "trust.ini").write_text(f"curl.cainfo={tmp_path}/cert.pem\n")
    trust = {"PHP_INI_SCAN_DIR": f":{tmp_path}", "NODE_EXTRA_CA_CERTS": str(tmp_path / "cert.pem")}
    url = url_of(port, host="localhost", scheme="https")
    library = make(url, trust, bearer=True)
    assert library.push()["identifier"] == "chat"
    with pytest.raises(LibraryError, match="not trusted") as caught:
        make(url).push()
    assert (caught.value.code, caught.value.maybe_pushed) == ("unreachable", False)


FORKS_OVER_TLS = """
require 'Cometify.php';
$cometify = Cometify\\Cometify::fromUrl($argv[1], timeout: 60);
$cometify->push('forks', 'before');
for ($i = 0; $i < 5; $i++) {
    $child = pcntl_fork();
    $cometify->push('forks', $child ? "parent $i" : "child $i");
    if (!$child) {
        exit(0);
    }
    pcntl_waitpid($child, $status);
}
"""


def test_forked_processes_of_php_push_once_over_tls(make_server, tmp_path):
    make_certificate(tmp_path)
    port, plain = free_port(), free_port()
    tls = f"ssl:{port}:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1"
    server = make_server(http=[tls, f"tcp:{plain}:interface=127.0.0.1"])
    command = [
        "php",
        "-d",
        f"curl.cainfo={tmp_path}/cert.pem",
        "-r",
        FORKS_OVER_TLS,
        "--",
        url_of(port, host="localhost", scheme="https"),
    ]
    done = subprocess.run(command, cwd=SDK / "php", capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    answer = server.request("GET", f"/{API_KEY}/poll?identifiers=forks&position=1", port=plain)
    texts = [frame["text"] for frame in answer.frames if frame["type"] == "push"]
    assert sorted(texts) == sorted(
        ["before", *(f"{who} {number}" for who in ("parent", "child") for number in range(5))]
    )


# Types.


def test_types_of_node_name_all_methods_and_no_other():
    script = """
    import * as library from 'cometify-node';
    const { Cometify } = library;
    const isSaid = (name) => name !== 'constructor';
    console.log(JSON.stringify([
      Object.keys(library).sort(),
      [...Object.getOwnPropertyNames(Cometify.prototype).filter(isSaid), 'fromUrl'].sort(),
    ]));
    """
    command = ["node", "--input-type=module", "--eval", script]
    done = subprocess.run(command, cwd=SDK / "node", capture_output=True, text=True, check=True, timeout=60)
    exported, methods = json.loads(done.stdout)
    types = (SDK / "node/index.d.ts").read_text("utf-8")
    assert sorted(re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE)) == exported
    declared = types[types.index("export class Cometify {") : types.index("export class CometifyError")]
    assert sorted(set(re.findall(r"^  (?:static )?(\w+)\(", declared, re.MULTILINE))) == methods
