"""scripts/picture.py: write docs/page.png, the top of the page at / in a browser. It needs Chromium and playwright."""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.rig.ports import free_ports

TO = Path(__file__).parents[1] / "docs" / "page.png"
VIEW = {"width": 1000, "height": 520}


def serve(folder: str, port: int) -> "subprocess.Popen[bytes]":
    """Start a server on this machine, and wait for it."""
    ports = (f"--http=tcp:{port}:interface=127.0.0.1", "--websocket=tcp:0:interface=127.0.0.1", "--admin=tcp:0")
    command = (sys.executable, "-m", "cometify", "serve", *ports)
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return server
    raise TimeoutError("The server does not start")


def main() -> None:
    """Write the picture."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = serve(folder, port)
        try:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport=VIEW)
            page.goto(f"http://localhost:{port}/")
            page.locator("header").screenshot(path=TO)
            browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
