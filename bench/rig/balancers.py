"""The load balancers of `deploy/`, with the addresses and ports of this machine put in and nothing else."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
NAMES = ("nginx", "haproxy", "caddy")
"""Those that run here. Traefik is in no registry."""
_UPSTREAMS = 2
"""Places of nginx.conf and of the Caddyfile that name each node: one for pushes and one for listeners."""
_SECOND = {"nginx": r"^ +server 10\.0\.0\.12:8081", "haproxy": r"^ +server node2 10\.0\.0\.12:8081"}
"""The line of the second node. The files name two, so it is copied for each further one."""


@dataclass(frozen=True)
class Upstream:
    """A node as a balancer sees it. `health`: the port of its admin endpoint. Caddy asks the same port of all nodes."""

    port: int
    health: int
    host: str = "127.0.0.1"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


class BalancerFile:
    """The file of a balancer before `nodes`, written to `folder`. `command` runs it in the foreground.

    `name`: one of `NAMES`, or haproxy_proxied, which has the lines for the PROXY protocol. `tls_port`: where the lines for
    TLS listen, with cert.pem and key.pem of the folder, if they are used.
    """

    def __init__(
        self, name: str, folder: Path, port: int, nodes: Sequence[Upstream], tls_port: int | None = None
    ) -> None:
        self._folder = folder
        self._port = port
        self._tls_port = tls_port
        self._nodes = nodes
        kind = name.partition("_")[0]
        self.command: list[str] = getattr(self, f"_{kind}")(name != kind)

    @staticmethod
    def _put(text: str, pattern: str, instead: str, times: int = 1) -> str:
        """Replace lines. Raises ValueError if the file does not have so many of them."""
        text, count = re.subn(pattern, instead, text, flags=re.MULTILINE)
        if count != times:
            raise ValueError(f"{count} places of {pattern}")
        return text

    def _read(self, file: str, second: str) -> str:
        lines = []
        for line in (DEPLOY / file).read_text().splitlines():
            lines.append(line)
            if re.search(second, line):
                further = range(3, len(self._nodes) + 1)
                lines += [line.replace(".12:", f".1{n}:").replace("node2", f"node{n}") for n in further]
        return "\n".join([*lines, ""])

    def _write(self, file: str, text: str) -> str:
        path = self._folder / file
        path.write_text(text)
        return str(path)

    def _nginx(self, _is_proxied: bool) -> list[str]:
        text = self._read("nginx.conf", _SECOND["nginx"])
        text = self._put(text, r"^( +listen) 80;", rf"\1 127.0.0.1:{self._port};")
        if self._tls_port is not None:
            text = self._put(text, r"^( +)# listen 443 ssl;", rf"\1listen 127.0.0.1:{self._tls_port} ssl;")
            text = self._put(text, r"# ssl_certificate +/\S+;", f"ssl_certificate {self._folder}/cert.pem;")
            text = self._put(text, r"# ssl_certificate_key +/\S+;", f"ssl_certificate_key {self._folder}/key.pem;")
            text = self._put(text, r"# ssl_session_cache", "ssl_session_cache")
        for number, node in enumerate(self._nodes, 1):
            text = self._put(text, rf"server 10\.0\.0\.1{number}:8081 ", f"server {node.address} ", _UPSTREAMS)
        temporary = self._folder / "temporary"  # nginx's own may be root's alone
        temporary.mkdir(mode=0o777, exist_ok=True)
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        here = "".join(f"{path}_temp_path {temporary}/{path};" for path in paths)
        text = self._put(text, r"^http \{", f"http {{ {here}")
        user = "user root; " if os.getuid() == 0 else ""  # because the folder is nobody else's
        directives = f"{user}daemon off; pid {self._folder}/pid; error_log stderr;"
        return ["nginx", "-p", str(self._folder), "-c", self._write("nginx.conf", text), "-g", directives]

    def _haproxy(self, is_proxied: bool) -> list[str]:
        text = self._read("haproxy.cfg", _SECOND["haproxy"])
        text = self._put(text, r"^( +bind) :80$", rf"\1 127.0.0.1:{self._port}")
        if self._tls_port is not None:
            both = self._folder / "both.pem"
            both.write_text((self._folder / "cert.pem").read_text() + (self._folder / "key.pem").read_text())
            text = self._put(text, r"# bind :443 ssl crt /\S+\.pem", f"bind 127.0.0.1:{self._tls_port} ssl crt {both}")
        if is_proxied:  # shown instead of X-Forwarded-For
            text = self._put(text, r"^ +option forwardfor.*$", "", 2)
            text = self._put(text, r"^ +default-server .*$", "")
            text = self._put(text, r"# (default-server .*send-proxy-v2)$", r"\1", 2)
        for number, node in enumerate(self._nodes, 1):
            server = rf"server node{number} 10\.0\.0\.1{number}:8081"
            text = self._put(text, rf"{server}$", f"server node{number} {node.address} port {node.health}")
            text = self._put(text, rf"{server} track", f"server node{number} {node.address} track")
        return ["haproxy", "-db", "-f", self._write("haproxy.cfg", text)]

    def _caddy(self, _is_proxied: bool) -> list[str]:
        (health,) = {node.health for node in self._nodes}
        text = (DEPLOY / "Caddyfile").read_text()
        plain = f"http://:{self._port} {{\n\tbind 127.0.0.1\n\timport cometify\n}}\n"
        if self._tls_port is None:
            text = text[: text.index("push.example.org {")]
        else:
            own = f"tls {self._folder}/cert.pem {self._folder}/key.pem"
            text = self._put(text, r"# tls /\S+ /\S+$", own)
            text = self._put(text, r"^push\.example\.org \{", f"https://:{self._tls_port} {{\n\tbind 127.0.0.1")
        addresses = " ".join(node.address for node in self._nodes)
        text = self._put(text, r"10\.0\.0\.11:8081 10\.0\.0\.12:8081", addresses, _UPSTREAMS)
        text = self._put(text, r"health_port 8082$", f"health_port {health}")
        # Several of them may run here, and none may bind port 80, or keep anything outside of the folder.
        here = f"admin off\n\tauto_https off\n\tstorage file_system {self._folder}/caddy"
        text = self._put(text, r"^\tgrace_period 5s$", f"\tgrace_period 1s\n\t{here}") + plain
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", self._write("Caddyfile", text)]
        return ["env", f"XDG_CONFIG_HOME={self._folder}", *command]
