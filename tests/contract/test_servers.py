"""A server as users start it: its endpoints, its signals, its configuration, and peers that do not read."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.rig.ports import free_ports
from cometify.config.settings import SettingsError
from cometify.config.settings_file import load
from cometify.runtime.ports import endpoint_of
from tests.certificates import make_certificate
from tests.conftest import Server, assert_clean
from tests.contract.support import API_KEY, API_SECRET, gaps, kinds, texts
from tests.wire import FORM, Closed, Connection, Stream, WebSocket, eventually, form, request_bytes, secure, secure_key

# Endpoints. One server that has them all.


class Endpoints(Server):
    """`where`: for each kind of endpoint the arguments of a connection."""

    where: dict[str, tuple[int | str, dict[str, Any]]]
    is_forked = False  # its memory is measured, and a fork shares some


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    folder = tmp_path_factory.mktemp("endpoints")
    tls = make_certificate(folder)
    tls_port, haproxy_port, proxied_tls_port = free_ports(3)
    server = Endpoints(folder, {"trusted_proxies": ["127.0.0.1"]}, {"listeners_per_ip": 30})
    server.options["http"] = [
        f"tcp:{server.port}:interface=127.0.0.1",
        f"ssl:{tls_port}:privateKey=key.pem:certKey=cert.pem:interface=127.0.0.1",
        "unix:http.socket",
        f"haproxy:tcp:{haproxy_port}:interface=127.0.0.1",
        f"haproxy:ssl:{proxied_tls_port}:privateKey=key.pem:certKey=cert.pem:interface=127.0.0.1",
    ]
    server.where = {
        "tcp": (server.port, {}),
        "ssl": (tls_port, {"wrap": tls}),
        "unix": (str(folder / "http.socket"), {}),
        "haproxy": (haproxy_port, {"preamble": b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"}),
        "haproxy:ssl": (proxied_tls_port, {"wrap": tls}),
    }
    server.start()
    yield server
    server.stop()
    assert_clean(server.log.read_text())


KINDS = ("tcp", "ssl", "unix", "haproxy")


def opened(server: Endpoints, kind: str, transport: str, query: str, headers: dict[str, str] | None = None) -> Any:
    port, more = server.where[kind]
    of = WebSocket if transport == "websocket" else Stream
    return of(port, f"/{API_KEY}/{transport}?{query}", headers, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_works_on_every_kind_of_endpoint(endpoints, kind):
    name = "on_" + kind
    port, more = endpoints.where[kind]
    with (
        opened(endpoints, kind, "websocket", f"identifiers={name}") as one,
        opened(endpoints, kind, "stream", f"identifiers={name}") as two,
        opened(endpoints, kind, "events", f"identifiers={name}") as three,
    ):
        for listener in (one, two, three):
            listener.joined()
        with Connection(port, **more) as publisher:
            body = form({"text": "x" * 60_000, "secret": "0", "secure": secure(name, "x" * 60_000)})
            publisher.send(request_bytes("POST", f"/{API_KEY}/push/{name}", body, FORM))
            answer = publisher.answer()
            assert answer.json["listeners"] == 3
            publisher.send(
                request_bytes("GET", f"/{API_KEY}/poll?identifiers={name}&position={answer.json['position'] - 1}")
            )
            assert texts(publisher.answer().frames) == ["x" * 60_000]
        for listener in (one, two, three):
            assert listener.texts(1) == ["x" * 60_000]


@pytest.mark.parametrize(
    ("kind", "told", "status"),
    [
        ("tcp", {}, 200),
        ("ssl", {}, 200),
        ("unix", {}, 200),
        ("unix", {"X-Forwarded-Proto": "https"}, 200),
        ("unix", {"X-Forwarded-Proto": "http"}, 403),
        ("unix", {"X-Forwarded-For": "192.0.2.7"}, 403),
        ("haproxy", {}, 403),
        ("haproxy", {"X-Forwarded-Proto": "http"}, 403),
        ("haproxy", {"X-Forwarded-Proto": "https"}, 200),
    ],
)
def test_endpoint_takes_the_api_secret_if_nobody_can_read_it(endpoints, kind, told, status):
    port, more = endpoints.where[kind]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_SECRET}", **told}
    with Connection(port, **more) as publisher:
        for odd in ({}, {"Proxy-Connection": "keep-alive"}):
            body = b'{"text":"x","secret":0}'
            publisher.send(request_bytes("POST", f"/{API_KEY}/push/bearer", body, headers | odd))
            assert publisher.answer().status == status
    assert API_SECRET not in endpoints.log.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_large_replay_arrives_whole_on_every_endpoint(endpoints, kind):
    name = "replay_" + kind
    for number in range(20):
        endpoints.pushed(name, f"{number:02}" + "x" * 60_000)
    for transport in ("websocket", "stream"):
        with opened(endpoints, kind, transport, f"identifiers={name}:0") as listener:
            count = 17 if transport == "stream" else 20  # a stream ends after 1 MiB
            assert [text[:2] for text in listener.texts(count)] == [f"{number:02}" for number in range(count)]


@pytest.mark.parametrize("kind", ["haproxy", "haproxy:ssl"])
@pytest.mark.parametrize(
    ("header", "is_served"), [(b"PROXY UNKNOWN\r\n", True), (b"PROXY TCP4 x 192.0.2.2 x 80\r\n", False), (b"", False)]
)
def test_proxy_protocol_is_read_or_closed_without_a_traceback(endpoints, kind, header, is_served):
    port, more = endpoints.where[kind]
    with Connection(port, wrap=more.get("wrap")) as wire:
        wire.send(header + request_bytes("GET", f"/{API_KEY}/position"))
        if is_served:
            assert wire.answer().status == 200
        else:
            assert wire.rest() == b""


def test_address_comes_from_the_proxy_protocol(endpoints):
    port, _more = endpoints.where["haproxy"]

    def listen(address: str) -> Stream:
        preamble = f"PROXY TCP4 {address} 192.0.2.2 4711 80\r\n".encode()
        return Stream(port, f"/{API_KEY}/stream?identifiers=chat", preamble=preamble)

    listeners = [listen("192.0.2.77") for _ in range(30)]
    try:
        assert [listener.status for listener in listeners] == [200] * 30
        with listen("192.0.2.77") as late:
            assert late.status == 429
        with listen("192.0.2.78") as another:
            assert another.status == 200
    finally:
        for listener in listeners:
            listener.close()


def test_unix_socket_takes_the_forwarded_address(endpoints):
    def listen(address: str) -> Any:
        return opened(endpoints, "unix", "stream", "identifiers=chat", {"X-Forwarded-For": address})

    listeners = [listen("192.0.2.9") for _ in range(30)]
    try:
        assert [listener.status for listener in listeners] == [200] * 30
        with listen("192.0.2.9") as late:
            assert late.status == 429
        with listen("192.0.2.10") as another:
            assert another.status == 200
    finally:
        for listener in listeners:
            listener.close()


def test_behind_a_trusted_proxy_too(endpoints):
    headers = {"X-Forwarded-For": "192.0.2.11"}
    listeners = [opened(endpoints, "tcp", "stream", "identifiers=chat", headers) for _ in range(30)]
    try:
        with opened(endpoints, "tcp", "stream", "identifiers=chat", headers) as late:
            assert late.status == 429
        with opened(endpoints, "tcp", "stream", "identifiers=chat") as another:
            assert another.status == 200
    finally:
        for listener in listeners:
            listener.close()


def test_websocket_port_serves_websockets_alone(endpoints):
    with WebSocket(endpoints.websocket_port, f"/{API_KEY}/websocket?identifiers=chat") as listener:
        listener.joined()
        endpoints.pushed("chat", "x")
        assert listener.texts(1) == ["x"]
    for path in (
        "/",
        f"/{API_KEY}/stream?identifiers=chat",
        f"/{API_KEY}/poll?identifiers=chat",
        "/latest/cometify.min.js",
    ):
        assert endpoints.request("GET", path, port=endpoints.websocket_port).status == 404
    body = form({"text": "x", "secret": "0", "secure": secure("chat", "x")})
    answer = endpoints.request("POST", f"/{API_KEY}/push/chat", body, FORM, port=endpoints.websocket_port)
    assert answer.status == 404


# Publishers and pollers.


def test_push_arrives_if_its_publisher_never_reads(endpoints):
    with endpoints.websocket("identifiers=oneliner") as listener:
        listener.joined()
        for number in range(100):
            text = f"Hello {number}"
            body = form({"identifier": "oneliner", "secret": "0", "text": text, "secure": secure("oneliner", text)})
            with Connection(endpoints.port) as publisher:
                publisher.send(
                    f"POST http://cometify.org/{API_KEY}/push/oneliner HTTP/1.1\r\nHost: cometify.org\r\n"
                    f"Content-type: application/x-www-form-urlencoded\r\nContent-length: {len(body)}\r\n"
                    "Connection: Close\r\n\r\n".encode()
                    + body
                )
        assert sorted(listener.texts(100)) == sorted(f"Hello {number}" for number in range(100))


def test_refused_listener_is_told_on_every_transport(endpoints):
    """31 from one address, as a client reads it off the wire."""
    headers = {"X-Forwarded-For": "192.0.2.12"}
    listeners = [opened(endpoints, "tcp", "stream", "identifiers=refused", headers) for _ in range(30)]
    try:
        for transport in ("stream", "poll"):
            answer = endpoints.request("GET", f"/{API_KEY}/{transport}?identifiers=refused", headers=headers)
            assert answer.status == 429
            assert answer.json["code"] == "too_many_listeners"
            assert int(answer.headers["retry-after"]) >= 1
        answer = endpoints.request("GET", f"/{API_KEY}/events?identifiers=refused", headers=headers)
        assert answer.status == 200
        assert answer.body.startswith(b"retry: ")
        assert b'"code":"too_many_listeners"' in answer.body
        for listener in listeners:
            assert kinds([listener.frame(), listener.frame()]) == ["ready", "heartbeat"]
        endpoints.pushed("refused", "x")
        for listener in listeners:
            assert listener.texts(1) == ["x"]
    finally:
        for listener in listeners:
            listener.close()


# Peers that do not read.


def pour(server: Server, name: str, count: int, last: str = "") -> None:
    with Connection(server.port) as publisher:
        for number in range(count):
            text = last if last and number == count - 1 else f"{number:06}" + "x" * 65_530
            body = form({"text": text, "secret": "0", "secure": secure(name, text)})
            publisher.send(request_bytes("POST", f"/{API_KEY}/push/{name}", body, FORM))
            assert publisher.answer().status == 200


@pytest.mark.parametrize("kind", ["tcp", "ssl", "unix", "haproxy"])
def test_peer_that_never_reads_costs_less_than_256_kib(endpoints, kind):
    name = "pour_" + kind
    port, more = endpoints.where[kind]
    if kind != "unix":
        more = {**more, "receive_buffer": 4096}
    with opened(endpoints, kind, "websocket", f"identifiers={name}") as first:
        first.joined()
        pour(endpoints, name, 100)  # the buffer for replay is full, and so are the allocator's free lists
    before = endpoints.memory()
    transports = ("websocket", "stream", "events") * 6
    listeners: list[Any] = []
    try:
        for transport in transports:
            of = WebSocket if transport == "websocket" else Stream
            listeners.append(of(port, f"/{API_KEY}/{transport}?identifiers={name}", **more))
            listeners[-1].joined()
        pour(endpoints, name, 100)
        each = (endpoints.memory() - before) / len(listeners)
        assert each < 256 * 1024
        pour(endpoints, name, 2, last="the last")
        for transport, listener in zip(transports, listeners, strict=True):
            if transport != "websocket":
                continue  # these end after 1 MiB
            frames = []
            while not frames or frames[-1].get("text") != "the last":
                frames.append(listener.frame())
            if len(texts(frames)) < 102:
                assert gaps(frames) == [[name]]
                gap = kinds(frames).index("gap")
                after = [
                    int(frame["text"][:6])
                    for frame in frames[gap + 1 :]
                    if frame["type"] == "push" and frame["text"] != "the last"
                ]
                assert after[:-1] == list(range(after[0], 100))
    finally:
        for listener in listeners:
            listener.close()


def test_stream_ends_after_1_mib_to_a_slow_reader(endpoints):
    text = "\x01" * 65_536  # six times as long in JSON, and longer than any socket's buffer
    port, more = endpoints.where["tcp"]
    count = 0
    with Stream(port, f"/{API_KEY}/stream?identifiers=long", receive_buffer=4096, **more) as listener:
        listener.joined()
        with suppress(EOFError):
            while count < 9:
                endpoints.pushed("long", text)
                assert listener.texts(1) == [text]
                count += 1
    assert 3 <= count <= 4


# Signals.


def test_sigterm_ends_every_transport_in_order(make_server):
    server = make_server(drain=5)
    head = server.poll(query="identifiers=chat").frames[-1]["position"]
    streams = [server.stream("identifiers=chat", path=path) for path in ("stream", "events")]
    websocket = server.websocket("identifiers=chat")
    for listener in (*streams, websocket):
        listener.joined()
    with Connection(server.port) as poll:
        poll.send(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={head}"))
        server.pushed("other", "x")  # by then the poll has been read
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        answer = poll.answer()
        assert (answer.status, kinds(answer.frames)) == (200, ["reconnect"])
    for stream in streams:
        assert 0 <= stream.next("reconnect")["after"] <= 5000
        with pytest.raises(EOFError):
            stream.frame()
        stream.close()
    assert 0 <= websocket.next("reconnect")["after"] <= 5000
    with pytest.raises(Closed) as closed:
        websocket.frame()
    assert closed.value.code == 4200
    websocket.send((4200).to_bytes(2, "big"), opcode=8)
    assert websocket.connection.rest() == b""
    websocket.close()
    assert server.process.wait(3) == -signal.SIGTERM
    server.process = None


def test_sigterm_takes_drain_seconds_at_most(make_server):
    server = make_server(drain=1)
    with server.websocket("identifiers=chat") as websocket:
        websocket.joined()  # and never answers the close
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == -signal.SIGTERM
        server.process = None
        assert websocket.next("reconnect")


def test_health_says_that_the_server_drains(make_server):
    server = make_server(drain=2)
    with server.websocket("identifiers=chat") as websocket:
        websocket.joined()  # and never answers the close
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert websocket.next("reconnect")
        answer = server.request("GET", "/health/ready", port=server.admin_port)
        assert (answer.status, answer.json) == (503, {"status": "unavailable", "reason": "draining"})
        assert server.request("GET", "/health/live", port=server.admin_port).status == 200
        with pytest.raises(ConnectionRefusedError):
            server.request("GET", "/")
        server.process.send_signal(signal.SIGTERM)  # once more, as `timeout` and impatient people do
        assert server.process.wait(5) == -signal.SIGTERM
        server.process = None


def test_sighup_tells_what_it_does_not_read_again(make_server):
    server = make_server()
    file = server.folder / "cometify.toml"
    file.write_text("heartbeat = 7\ntrusted_proxies = []\n" + file.read_text().replace(API_SECRET, "short"))
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "restart the server to change heartbeat\n" in server.log.read_text())
    assert f"account {API_KEY}: its API secret has fewer than 12 characters" in server.log.read_text()
    file.unlink()
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: f"Reload failed, keeping the current accounts: {file} does not exist." in server.log.read_text())
    os.mkfifo(file)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "cometify.toml: is a pipe" in server.log.read_text())


def test_sighup_reads_the_accounts_again(make_server):
    server = make_server(account={"api_secrets": ["new", API_SECRET]})
    file = server.folder / "cometify.toml"
    right = file.read_text()
    key = secure_key("chat")
    assert server.process is not None
    with server.websocket(f"identifiers=chat&secureKey={key}") as listener:
        assert listener.joined()["secret"] == ["chat"]

        # A wrong file changes nothing and is logged.
        file.write_text(right.replace("listeners_per_ip", "listenersperip"))
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "listenersperip" in server.log.read_text())
        server.pushed("chat", "still here", secret=1)
        assert listener.texts(1) == ["still here"]

        # A secret revoked is told by a new ready, and an account comes.
        more = '\n[[account]]\napi_key = "2"\napi_secret = "s"\n'
        file.write_text(right.replace(f', "{API_SECRET}"', "") + more)
        server.process.send_signal(signal.SIGHUP)
        assert listener.next("ready")["secret"] == []
        listener.next("heartbeat")
        assert server.push("chat", "x").json["code"] == "not_authorized"
        with WebSocket(server.port, "/2/websocket?identifiers=chat") as other:
            other.joined()

            # An account goes, the other's listener is not dropped.
            file.write_text(right[: right.index("[[account]]")] + more)
            server.process.send_signal(signal.SIGHUP)
            assert listener.next("error")["code"] == "not_authorized"
            assert listener.closed() == 4001
            body = form({"text": "y", "secret": "0", "secure": secure("chat", "y", "2", "s")})
            assert server.request("POST", "/2/push/chat", body, FORM).status == 200
            assert other.texts(1) == ["y"]


def test_reload_of_half_a_file_drops_nobody(make_server):
    server = make_server()
    file = server.folder / "cometify.toml"
    more = [
        f'[[account]]\napi_key = "site{number}"\napi_secret = "secret of site{number}"\n' for number in range(1, 40)
    ]
    whole = file.read_text() + "\n" + "".join(more)

    def hang_up(text, line):
        file.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: line in server.log.read_text())

    def reload_is_successful():
        metrics = server.request("GET", "/metrics", port=server.admin_port).body.decode()
        return "cometify_config_last_reload_successful 1.0" in metrics

    hang_up(whole, "Reload done, 40 accounts; came: site1, site2, ")
    with WebSocket(server.port, "/site39/websocket?identifiers=chat") as listener:
        listener.joined()
        hang_up(
            whole[: whole.index('[[account]]\napi_key = "site11"')],
            "Reload failed, keeping the current accounts: the file would drop 29 of 40 accounts, more than a tenth: site11, ",
        )
        assert not reload_is_successful()
        changed = whole.replace("secret of site7", "another secret of it").replace(more[8], "")
        hang_up(changed, "Reload done, 39 accounts; changed: site7 (api_secrets); gone: site9\n")
        assert reload_is_successful()
        body = form({"text": "y", "secret": "0", "secure": secure("chat", "y", "site39", "secret of site39")})
        assert server.request("POST", "/site39/push/chat", body, FORM).status == 200
        assert listener.texts(1) == ["y"]


@pytest.fixture
def make_server(make_server):
    """The fixture's accounts have one secret; here two may be given."""

    def make(account: dict[str, Any] | None = None, **options: Any) -> Server:
        if account and "api_secrets" in account:
            server = make_server(**options)
            server.stop()
            server.account.pop("api_secret")
            server.account.update(account)
            return server.start()
        return make_server(account, **options)

    return make


# The log.


def test_no_stranger_writes_into_the_log(make_server):
    server = make_server()
    head = (
        f"GET /{API_KEY}/websocket?identifiers=chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    for odd in (
        "Sec-WebSocket-Protocol: stranger, stranger\r\n",
        "Sec-WebSocket-Key: stranger\r\n",
        "Host: stranger\r\n",
    ):
        with Connection(server.port) as connection:
            connection.send(f"{head}{odd}\r\n".encode())
            assert connection.rest().startswith(b"HTTP/1.1 400 ")
    log = server.log.read_text()
    assert "stranger" not in log
    assert "peer" not in log


# The configuration.

ACCOUNT = '[[account]]\napi_key = "1"\napi_secret = "s"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("heartbeat = 0\n" + ACCOUNT, "heartbeat"),
        ('heartbeat = "25"\n' + ACCOUNT, "heartbeat"),
        ("heartbeat = true\n" + ACCOUNT, "heartbeat"),
        ("drain = -1\n" + ACCOUNT, "drain"),
        ("drain = 1.5\n" + ACCOUNT, "drain"),
        ("hartbeat = 25\n" + ACCOUNT, "hartbeat"),
        ('http = "tcp:8081"\n' + ACCOUNT, "http"),
        ("http = []\n" + ACCOUNT, "http"),
        ("http = [8081]\n" + ACCOUNT, "http"),
        ("websocket = [5]\n" + ACCOUNT, "websocket"),
        ("admin = 5\n" + ACCOUNT, "admin"),
        ('trusted_proxies = ["localhost"]\n' + ACCOUNT, "trusted_proxies"),
        ('trusted_proxies = "127.0.0.1"\n' + ACCOUNT, "trusted_proxies"),
        ("", "account"),
        ('account = "1"\n', "account"),
        ("[account]\n", "account"),
        ('[[account]]\napi_secret = "s"\n', "api_key"),
        ('[[account]]\napi_key = "1"\n', "api_secret"),
        ('[[account]]\napi_key = 1\napi_secret = "s"\n', "api_key"),
        ('[[account]]\napi_key = "latest"\napi_secret = "s"\n', "api_key"),
        ('[[account]]\napi_key = "a b"\napi_secret = "s"\n', "api_key"),
        (f'[[account]]\napi_key = "{"x" * 65}"\napi_secret = "s"\n', "api_key"),
        ('[[account]]\napi_key = ""\napi_secret = "s"\n', "api_key"),
        ('[[account]]\napi_key = "1\\n"\napi_secret = "s"\n', "api_key"),
        ('[[account]]\napi_key = "1"\napi_secret = ""\n', "api_secret"),
        ('[[account]]\napi_key = "1"\napi_secret = "s"\napi_secrets = ["t"]\n', "api_secret"),
        ('[[account]]\napi_key = "1"\napi_secrets = []\n', "api_secrets"),
        ('[[account]]\napi_key = "1"\napi_secrets = ["a", "b", "c"]\n', "api_secrets"),
        (ACCOUNT + "listeners_per_ip = 0\n", "listeners_per_ip"),
        (ACCOUNT + "buffer_pushes = 0\n", "buffer_pushes"),
        (ACCOUNT + "buffer_bytes = 1\n", "buffer_bytes"),
        (ACCOUNT + "keep_bytes = 1\n", "keep_bytes"),
        (ACCOUNT + "signature_memory = -1\n", "signature_memory"),
        (ACCOUNT + 'origins = ["www.example.org"]\n', "origins"),
        (ACCOUNT + 'origins = ["https://www.example.org/"]\n', "origins"),
        (ACCOUNT + "colour = 1\n", "colour"),
        (ACCOUNT + ACCOUNT, "api_key"),
        ("heartbeat = \n", "TOML"),
    ],
)
def test_reload_of_a_wrong_file_logs_one_line(tmp_path, text, named):
    file = tmp_path / "cometify.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(str(file), {})
    message = str(error.value)
    assert "\n" not in message
    assert named in message
    assert "cometify.toml" in message


@pytest.mark.parametrize(
    ("text", "named"), [("heartbeat = 0\n" + ACCOUNT, "heartbeat"), ('http = ["tcp:nothing"]\n' + ACCOUNT, "http")]
)
def test_wrong_file_stops_the_start_with_one_line(tmp_path, text, named):
    server = Server(tmp_path, {}, {})
    server.write_config()
    (tmp_path / "cometify.toml").write_text(text)
    server.write_config = lambda: None  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        server.start()
    assert server.process is not None
    assert server.process.wait(10) == 1
    lines = [line for line in server.log.read_text().splitlines() if line.strip()]
    assert named in lines[-1]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("haproxy:tcp:99999:interface=127.0.0.1", "(bind(): port must be 0-65535)."),
        (
            "unix:/nonexistent/socket",
            "([Errno 2] No such file or directory). The folder must exist: with systemd, RuntimeDirectory= makes it.",
        ),
        ("tcp:9:interface=192.0.2.1", "This machine has no such address."),
    ],
)
def test_endpoint_in_use_stops_the_start_with_one_line(tmp_path, endpoint, reason):
    server = Server(tmp_path, {"http": [endpoint]}, {})
    with pytest.raises(AssertionError):
        server.start()
    assert server.process is not None
    assert server.process.wait(10) == 1
    assert_clean(server.log.read_text())
    *_, line = server.log.read_text().splitlines()
    assert f'cometify: http: cannot listen on "{endpoint}" (' in line
    assert line.endswith(reason)


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("ssl:443:privateKey=/none.pem", "/none.pem: No such file or directory."),
        ("ssl:443:privateKey=key.pem:certKey=text", "text has no certificate in PEM."),
        ("ssl:443:privateKey=text:certKey=cert.pem", "privateKey, certKey and extraCertChain must be files in PEM."),
        ("ssl:443:privateKey=key.pem:certKey=other/cert.pem", "Certificate public and private keys do not match."),
        (
            "tcp:one",
            "invalid literal for int() with base 10: 'one'; Twisted's syntax is, for example, \"tcp:8081\" or ",
        ),
        ("tcp:99999", "a port is a number up to 65535; Twisted's syntax is, for example, "),
        ("tcp:80:interfce=x", "_parseTCP() got an unexpected keyword argument 'interfce'; Twisted's syntax is"),
    ],
)
def test_invalid_endpoint_is_told_with_the_reason(tmp_path, monkeypatch, endpoint, reason):
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), Path("other")):
        folder.mkdir(exist_ok=True)
        make_certificate(folder)
    Path("text").write_text("no certificate")
    with pytest.raises(SettingsError) as error:
        endpoint_of(None, "http", endpoint)
    assert str(error.value).startswith(f'http: "{endpoint}" cannot be used as an endpoint: {reason}')


def test_missing_file_is_told(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        load(str(tmp_path / "missing.toml"), {})
