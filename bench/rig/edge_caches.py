"""The caches of `deploy/` that answer polls, with the addresses and ports of this machine put in and nothing else."""

import os
import re
from pathlib import Path

from bench.rig.balancers import DEPLOY

CACHES = ("varnish", "nginx")
"""Those for which `deploy/` has a file."""


def cache_command(name: str, folder: Path, port: int, origin: int) -> list[str]:
    """Write the file of a cache before the server at the port `origin` to `folder`. Returns the command that runs it."""
    return _varnish(folder, port, origin) if name == "varnish" else _nginx(folder, port, origin)


def _put(text: str, pattern: str, instead: str) -> str:
    """Replace a line. Raises ValueError if the file does not have it once."""
    text, count = re.subn(pattern, instead, text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{count} places of {pattern}")
    return text


def _varnish(folder: Path, port: int, origin: int) -> list[str]:
    text = (DEPLOY / "edge.vcl").read_text()
    (parameters,) = re.findall(r"^# +varnishd .* -s malloc,256m (.+)$", text, flags=re.MULTILINE)
    text = _put(text, r'\.host = "10\.0\.0\.11";', '.host = "127.0.0.1";')
    text = _put(text, r'\.port = "8081";', f'.port = "{origin}";')
    (folder / "edge.vcl").write_text(text)
    listens = ["-a", f"127.0.0.1:{port}", "-n", str(folder / "varnish"), "-T", "none"]
    # The folder is nobody else's, so the worker process must be of the same user.
    return [
        "varnishd",
        "-F",
        "-j",
        "none",
        "-f",
        str(folder / "edge.vcl"),
        *listens,
        "-s",
        "malloc,64m",
        *parameters.split(),
    ]


def _nginx(folder: Path, port: int, origin: int) -> list[str]:
    text = (DEPLOY / "edge-nginx.conf").read_text()
    text = _put(text, r"^( +listen) 80;", rf"\1 127.0.0.1:{port};")
    text = _put(text, r"server 10\.0\.0\.11:8081 ", f"server 127.0.0.1:{origin} ")
    text = _put(text, r"/run/cometify-edge ", f"{folder}/cache ")
    text = _put(text, r"^worker_rlimit_nofile .*$", "")
    paths = "".join(
        f"{path}_temp_path {folder}/{path};" for path in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = _put(text, r"^http \{", f"http {{ {paths}")
    (folder / "nginx.conf").write_text(text)
    user = "user root; " if os.getuid() == 0 else ""  # because the folder is nobody else's
    directives = f"{user}daemon off; pid {folder}/pid; error_log stderr;"
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", directives]
