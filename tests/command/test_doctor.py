"""`cometify doctor` before set-ups that are broken: it names each fault and its remedy."""

import json
import os
import signal
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.rig.ports import free_ports
from cometify import __version__
from cometify.command.troubles import REMEDIES
from cometify.engine.redis.spread import home_of
from tests.certificates import Chain, make_key_pair
from tests.command.programs import Program
from tests.command.proxies import PASSES, Nginx
from tests.conftest import TWISTD, Server, assert_clean
from tests.redis import Redis
from tests.wire import API_KEY, API_SECRET

TRANSPORTS = ["websocket", "stream", "events", "poll"]
DOCS = Path(__file__).parents[2] / "docs" / "doctor.md"


def examine(port, *options, account=f"{API_KEY}:{API_SECRET}", scheme="http", patience="10", **variables):
    """Run the doctor. Returns its exit status, and the findings by check."""
    url = f"{scheme}://{account}@localhost:{port}"
    with Program("doctor", url, "--json", "--patience", patience, *options, **variables) as program:
        status = program.end()
        report = json.loads("".join(program.rest()))
        assert report["ok"] == (status == 0)
        assert program.errors.empty(), program.errors.get()
    for finding in report["findings"]:
        assert finding["remedy"] == REMEDIES.get(finding["fault"])
    return status, {finding["check"]: finding for finding in report["findings"]}


def faults(findings):
    return {check: finding["fault"] for check, finding in findings.items() if finding["status"] == "failed"}


def admin(server):
    return "--admin", f"http://127.0.0.1:{server.admin_port}"


@contextmanager
def started(tmp_path, *prefix):
    """A server whose process has something before it."""

    class Prefixed(Server):
        twistd = (*prefix, *TWISTD)

    folder = tmp_path / "prefixed"
    folder.mkdir()
    server = Prefixed(folder, {}, {})
    try:
        yield server.start()
    finally:
        server.stop()
        assert_clean(server.log.read_text())


def test_sound_server_has_no_fault(server):
    status, findings = examine(server.port, *admin(server))
    assert {check: fault for check, fault in faults(findings).items() if check != "descriptors"} == {}
    assert set(findings) >= {"connection", "version", "clock", "engine", "push", *TRANSPORTS, "readiness", "proxy"}
    for name in TRANSPORTS:
        assert 0 < findings[name]["push"] < 10_000
        assert findings[name]["ready"] > 0
    assert abs(findings["clock"]["ahead"]) < 5
    assert status == (1 if "descriptors" in faults(findings) else 0), "the limit of this machine may be low"


def test_url_without_secret_tries_all_but_pushes(server):
    status, findings = examine(server.port, account=API_KEY)
    assert status == 0
    assert [findings[name]["status"] for name in TRANSPORTS] == ["ok"] * 4
    assert findings["push"]["status"] == "skipped"


def test_one_free_place_is_enough_for_the_doctor(make_server):
    server = make_server(account={"listeners_per_ip": 1})
    assert examine(server.port)[0] == 0


def test_proxy_that_buffers_is_named(server, tmp_path):
    holds = (
        PASSES + "gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; proxy_ignore_headers X-Accel-Buffering;"
    )
    with Nginx(tmp_path / "nginx", server.port, holds) as proxy:
        status, findings = examine(proxy.port, patience="3")
    assert status == 1
    assert [name for name, fault in faults(findings).items() if fault == "buffering"] == ["stream", "events"]


def test_proxy_without_upgrade_is_named(server, tmp_path):
    with Nginx(tmp_path / "nginx", server.port, "") as proxy:
        status, findings = examine(proxy.port)
    assert status == 1
    assert faults(findings)["websocket"] == "no_upgrade"
    assert "101" in findings["websocket"]["detail"]


def test_wrong_clock_is_named(tmp_path):
    # The command faketime would be a process of its own, and the server would stay when that one is ended.
    with started(tmp_path, "env", "LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1", "FAKETIME=+3600s") as server:
        status, findings = examine(server.port)
    assert status == 1
    assert {check: faults(findings)[check] for check in ("clock", "engine", "push")} == dict.fromkeys(
        ("clock", "engine", "push"), "wrong_clock"
    )
    assert 3590 < findings["clock"]["ahead"] < 3610
    assert "3600 s ahead" in findings["engine"]["detail"] or "3599" in findings["engine"]["detail"]


@pytest.mark.parametrize(
    ("account", "check", "fault"),
    [("nobody:secret", "engine", "wrong_key"), (f"{API_KEY}:wrong", "push", "wrong_secret")],
)
def test_wrong_key_or_secret_is_named(server, account, check, fault):
    status, findings = examine(server.port, account=account)
    assert status == 1
    assert faults(findings) == {check: fault}


def test_full_account_is_named(make_server):
    server = make_server(account={"listeners": 1})
    with server.websocket("identifiers=chat") as listener:
        listener.joined()
        status, findings = examine(server.port)
    assert status == 1
    assert faults(findings) == dict.fromkeys(TRANSPORTS, "full")


def test_server_that_drains_is_named(make_server):
    server = make_server(drain=60)
    with server.websocket("identifiers=chat") as listener:
        listener.joined()
        server.process.send_signal(signal.SIGTERM)
        listener.next("reconnect")
        status, findings = examine(server.port, *admin(server))
    assert status == 1
    assert faults(findings)["readiness"] == "draining"


class Draining(BaseHTTPRequestHandler):
    """A node behind a balancer that keeps connections open to nodes that drain."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        document = {"status": 503, "title": "Draining", "code": "draining", "detail": "Come back."}
        if self.path == "/openapi.json":
            document = {"info": {"version": __version__}}
        body = json.dumps(document).encode()
        self.send_response(document.get("status", 200))
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_arguments):
        """Nobody reads it."""


def test_draining_is_named_without_the_admin_endpoint():
    with ThreadingHTTPServer(("127.0.0.1", 0), Draining) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            _status, findings = examine(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
    named = faults(findings)
    assert {named[check] for check in ("engine", "push", "stream", "events", "poll")} == {"draining"}


def test_redis_that_is_away_is_named(make_server, tmp_path):
    redis, other = (Redis(tmp_path / name).start() for name in ("redis", "other"))
    server = make_server(redis=[f"{redis.url}?name=a", f"{other.url}?name=b"])
    assert home_of(API_KEY, "ab") == "a", "the other one keeps other accounts, so that the server stays ready"
    redis.stop()
    status, findings = examine(server.port, *admin(server))
    assert status == 1
    named = faults(findings)
    assert {named[check] for check in ("engine", "push", *TRANSPORTS, "readiness")} == {"redis_away"}
    assert findings["readiness"]["detail"] == "The server is not wholly ready: redis_partly_away."
    other.stop()


@pytest.mark.parametrize("is_whole", [False, True])
def test_missing_chain_of_a_certificate_is_named(make_server, tmp_path, is_whole):
    chain = Chain(tmp_path / "chain")
    (port,) = free_ports(1)
    plain = f"tcp:{free_ports(1)[0]}:interface=127.0.0.1"
    more = f":extraCertChain={chain.folder}/chain.pem" if is_whole else ""
    tls = f"ssl:{port}:privateKey={chain.folder}/key.pem:certKey={chain.folder}/cert.pem{more}:interface=127.0.0.1"
    make_server(http=[plain, tls])
    status, findings = examine(port, scheme="https", SSL_CERT_FILE=str(chain.authority))
    assert faults(findings) == ({} if is_whole else {"connection": "tls_chain"})
    assert status == (0 if is_whole else 1)
    if is_whole:
        assert findings["https"]["status"] == "ok"
        _status, unknown = examine(port, scheme="https")
        assert faults(unknown) == {"connection": "tls_untrusted"}


def test_certificate_for_another_name_is_named(make_server, tmp_path):
    (port,) = free_ports(1)
    make_key_pair(tmp_path / "key.pem", tmp_path / "cert.pem")
    tls = f"ssl:{port}:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1"
    plain = f"tcp:{free_ports(1)[0]}:interface=127.0.0.1"
    make_server(http=[plain, tls])
    url = f"https://{API_KEY}@127.0.0.1:{port}"
    with Program("doctor", url, SSL_CERT_FILE=str(tmp_path / "cert.pem")) as program:
        assert program.end() == 1
        (failed,) = [line for line in program.rest() if line.startswith("failed")]
    assert "tls_name: " in failed


@pytest.mark.parametrize("trusted", [False, True])
def test_proxy_that_is_not_trusted_is_named(make_server, tmp_path, trusted):
    server = make_server(trusted_proxies=["127.0.0.1"] if trusted else [])
    chain = Chain(tmp_path / "chain")
    with Nginx(tmp_path / "nginx", server.port, certificate=chain.folder) as proxy:
        _status, findings = examine(proxy.port, *admin(server), scheme="https", SSL_CERT_FILE=str(chain.authority))
    named = faults(findings)
    named.pop("descriptors", None)
    assert named == ({} if trusted else {"https": "untrusted_proxy", "proxy": "untrusted_proxy"})


def test_old_server_is_named(server, tmp_path):
    old = 'location = /openapi.json { return 200 \'{"info":{"version":"0.0.9"}}\'; }'
    with Nginx(tmp_path / "nginx", server.port, more=old) as proxy:
        status, findings = examine(proxy.port)
    assert status == 1
    assert faults(findings) == {"version": "old_version"}
    assert "0.0.9" in findings["version"]["detail"]


def test_too_few_file_descriptors_are_named(tmp_path):
    with started(tmp_path, "prlimit", "--nofile=1000") as server:
        status, findings = examine(server.port, *admin(server))
    assert status == 1
    assert faults(findings) == {"descriptors": "few_descriptors"}
    assert findings["descriptors"]["limit"] == 1000


def test_proxy_without_a_server_is_named(tmp_path):
    (nobody,) = free_ports(1)
    with Nginx(tmp_path / "nginx", nobody) as proxy:
        _status, findings = examine(proxy.port)
    assert set(faults(findings).values()) == {"no_node"}


def test_something_else_at_the_url_is_named(server, tmp_path):
    with Nginx(tmp_path / "nginx", server.port, "if ($request_uri) { return 404; }") as other:
        status, findings = examine(other.port)
    assert status == 1
    assert faults(findings) == {"version": "not_cometify", "engine": "not_cometify"}


def test_transports_are_tried_if_the_proxy_hides_the_description(server, tmp_path):
    hides = "location = /openapi.json { return 404; }"
    with Nginx(tmp_path / "nginx", server.port, more=hides) as proxy:
        _status, findings = examine(proxy.port)
    assert faults(findings) == {"version": "not_cometify"}
    assert [findings[name]["status"] for name in TRANSPORTS] == ["ok"] * 4


def test_port_where_nobody_listens_is_named():
    (nobody,) = free_ports(1)
    assert faults(examine(nobody)[1]) == {"connection": "unreachable"}


def test_wrong_admin_endpoint_is_named(server):
    _status, findings = examine(server.port, "--admin", f"http://127.0.0.1:{server.port}")
    assert faults(findings) == {"admin": "no_admin"}


def test_lines_of_a_pipe_name_the_fault_and_the_remedy(server):
    with Program("doctor", COMETIFY_URL=f"http://{API_KEY}:wrong@127.0.0.1:{server.port}") as program:
        assert program.end() == 1
        lines = list(program.rest())
    (failed,) = [line for line in lines if line.startswith("failed")]
    assert failed == (
        "failed   push         wrong_secret: The API secret is not one of the account's. "
        "Correct the API secret in the URL."
    )
    assert [line.split()[1] for line in lines if line.startswith("ok")][-4:] == TRANSPORTS


def test_terminal_gets_a_table(server):
    ours, theirs = os.openpty()
    url = f"http://{API_KEY}@127.0.0.1:{server.port}"
    with Program("doctor", "--url", url, stdout=theirs, TERM="xterm", COLUMNS="100") as program:
        assert program.end() == 0
    printed = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "\x1b[32mok" in printed
    assert "websocket" in printed


def test_server_of_the_configuration_file_is_examined(server, tmp_path):
    with Program("doctor", "--json", cwd=server.folder) as program:
        status = program.end()
        report = json.loads("".join(program.rest()))
    assert (status, report["url"]) == (0, f"http://localhost:{server.port}")
    assert {finding["check"]: finding["status"] for finding in report["findings"]}["push"] == "ok"


def test_missing_url_is_told(tmp_path):
    with Program("doctor", cwd=tmp_path) as program:
        assert program.error("There is no cometify.toml here: give --url")
        assert program.end() == 1


def test_url_and_file_are_not_both_examined(server):
    with Program("doctor", "http://key:secret@127.0.0.1:1", "--config", "cometify.toml", cwd=server.folder) as program:
        assert program.error("either a URL or --config")
        assert program.end() == 2


def test_docs_explain_every_fault():
    rows = [line.split("|")[1].strip() for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert {row.strip("`") for row in rows} >= set(REMEDIES)
