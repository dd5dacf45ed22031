"""Middle boxes that a page meets on bad networks: scripted ones here, and nginx and HAProxy as they are installed."""

import os
import socket
import subprocess
from pathlib import Path
from select import select

from bench.rig.ports import free_ports
from tests.browser.engine import end, find
from tests.browser.proxy import Proxy
from tests.wire import Connection, eventually


def asks_for_websocket(client: socket.socket) -> bool:
    return b"upgrade: websocket" in client.recv(65536, socket.MSG_PEEK).lower()


class NoWebSocket(Proxy):
    """A proxy that knows no upgrades: it answers 400 to them. All else passes as it comes."""

    buffering = False

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.refused = 0

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = client.recv(65536)
            if not data:
                return
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if any(line.lower().startswith(b"upgrade:") for line in lines):
            self.refused += 1
            client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        # One request a connection, so that an answer is whole when the server closes.
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", body]))
        answer = b""
        while True:
            ready, _, _ = select([client, server], [], [])
            if client in ready:
                data = client.recv(65536)
                if not data:
                    return
                server.sendall(data)
            if server in ready:
                data = server.recv(65536)
                if not data:
                    client.sendall(answer)
                    return
                if self.buffering:
                    answer += data
                else:
                    client.sendall(data)


class Buffering(NoWebSocket):
    """The same, and it hands an answer on only when it is whole: a stream says nothing until it ends."""

    buffering = True


class Turning(NoWebSocket):
    """Lets everything through, WebSockets too, until it `turns`: then it cuts them all, and knows no upgrades any more."""

    turned = False

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        if self.turned or not asks_for_websocket(client):
            super().carry(client, server)
            return
        self.pass_on(client, server)

    def turn(self) -> None:
        self.turned = True
        self.cut()


class KillingWebSocket(Proxy):
    """Accepts each WebSocket, and kills it 300 ms after its first frame from the server. All else passes."""

    killed = 0

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        if not asks_for_websocket(client):
            self.pass_on(client, server)
            return
        answer = b""
        while not answer.partition(b"\r\n\r\n")[2]:
            for one in select([client, server], [], [])[0]:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)
                if one is server:
                    answer += data
        self.pass_on(client, server, 0.3)
        with self._lock:
            self.killed += 1


class Impatient(Proxy):
    """Ends each connection after so many seconds, also in the middle of a transfer."""

    def __init__(self, port: int, seconds: float) -> None:
        self._seconds = seconds
        super().__init__(port)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        self.pass_on(client, server, self._seconds)


BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


class Failing(Proxy):
    """Answers 502 and a page of HTML to the first so many requests, and passes on those that follow."""

    def __init__(self, port: int, failures: int) -> None:
        self.left = failures
        super().__init__(port)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            fails = self.left > 0
            self.left -= fails
        if not fails:
            self.pass_on(client, server)
            return
        client.recv(65536)
        head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: {len(BAD_GATEWAY)}\r\n"
        client.sendall(f"{head}Connection: close\r\n\r\n".encode() + BAD_GATEWAY)


class Installed:
    """A proxy of Debian's, with a configuration of ours: a process that is this test's own. `port` is where it listens."""

    command = ""
    package = ""
    config = ""
    arguments = ""

    def __init__(self, port: int, folder: Path, extra: str = "") -> None:
        """`extra`: lines for its configuration."""
        self.port = free_ports(1)[0]
        folder.mkdir()
        config = folder / "config"
        values = {"port": self.port, "upstream": port, "folder": folder, "extra": extra}
        config.write_text(self.config % values)
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [find(self.package, self.command), *(self.arguments % values).split()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            eventually(self._listens)
        except BaseException:
            end(self._process)
            raise

    def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            Connection(self.port).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> "Installed":
        return self

    def __exit__(self, *_args: object) -> None:
        end(self._process)


class Nginx(Installed):
    """nginx as a reverse proxy with nothing set but where to: it does not pass upgrades on."""

    command = "nginx"
    package = "nginx-light"
    arguments = "-p %(folder)s -c %(folder)s/config -e stderr"
    # nginx that runs as root starts its workers as another user, who cannot read the test's folder.
    config = (
        ("user root;" if os.geteuid() == 0 else "")
        + """
daemon off;
pid %(folder)s/pid;
worker_processes 1;
events {}
http {
    access_log off;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    %(extra)s
    server {
        listen 127.0.0.1:%(port)s;
        location / {
            proxy_pass http://127.0.0.1:%(upstream)s;
        }
    }
}
"""
    )


class HAProxy(Installed):
    """HAProxy with the timeouts of its documentation's first example, and no setting for connections that stay open."""

    command = "haproxy"
    package = "haproxy"
    arguments = "-db -f %(folder)s/config"
    config = """
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    %(extra)s
listen push
    bind 127.0.0.1:%(port)s
    server cometify 127.0.0.1:%(upstream)s
"""
