"""An nginx before one server, with the faults that a test puts in."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from bench.rig.ports import free_ports
from tests.wire import Client, eventually

PASSES = """
proxy_http_version 1.1;
proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
"""
"""The lines that Cometify needs."""


class Nginx(Client):
    """`lines`: for its server. `more`: further locations. `certificate`: the folder of key.pem and fullchain.pem, for TLS."""

    def __init__(
        self, folder: Path, port: int, lines: str = PASSES, more: str = "", certificate: Path | None = None
    ) -> None:
        super().__init__(*free_ports(1))
        folder.mkdir()
        self._folder = folder
        tls = "" if certificate is None else " ssl"
        if certificate is not None:
            lines += f"ssl_certificate {certificate}/fullchain.pem; ssl_certificate_key {certificate}/key.pem;"
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # its own may be root's alone
        here = "".join(f"{path}_temp_path {folder}/{path};" for path in paths)
        configuration = f"""
            events {{}}
            http {{
                {here} access_log off;
                map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
                server {{
                    listen 127.0.0.1:{self.port}{tls};
                    {lines}
                    location / {{ proxy_pass http://127.0.0.1:{port}; }}
                    {more}
                }}
            }}"""
        (folder / "nginx.conf").write_text(configuration)

    def __enter__(self) -> "Nginx":
        user = "user root; " if os.getuid() == 0 else ""  # the folder of the test is nobody else's
        directives = f"{user}daemon off; pid {self._folder}/pid; error_log stderr;"
        command = ["nginx", "-p", self._folder, "-c", self._folder / "nginx.conf", "-g", directives]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        eventually(self._serves)
        return self

    def _serves(self) -> bool:
        assert self.process.poll() is None, (self._folder / "log").read_text()
        with suppress(OSError):
            return bool(self.request("GET", "/openapi.json").status)
        return False

    def __exit__(self, *_args: object) -> None:
        self.process.terminate()
        self.process.wait(10)
