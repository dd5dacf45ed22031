"""Firefox, over WebDriver BiDi: JSON commands on a WebSocket that the browser listens on by itself."""

import json
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.browser.engine import Engine, Tab, end, find
from tests.wire import Closed, WebSocket, eventually

PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.newtab.preload": False,  # it would load a page in each window that nobody looks at
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.disable_open_during_load": False,
    "dom.ipc.processPrelaunch.enabled": False,  # processes that wait for the next page
    "extensions.update.enabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "services.settings.server": "data:,",
    "toolkit.cosmeticAnimations.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
"""A new profile that asks nothing of anybody but the pages' servers."""


class FirefoxTab(Tab):
    def __init__(self, firefox: "Firefox") -> None:
        self._firefox = firefox
        self._context = firefox.command("browsingContext.create", type="window")["context"]

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._firefox.command(f"browsingContext.{method}", context=self._context, **parameters)

    def open(self, url: str) -> None:
        self._command("navigate", url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        answer = self._firefox.command(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then((value) => JSON.stringify(value))",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"].get("value", "null"))

    def back(self) -> None:
        self._command("traverseHistory", delta=-1)

    def close(self) -> None:
        self._command("close")


class Firefox(Engine):
    name = "firefox"

    def __init__(self, folder: Path) -> None:
        """`folder`: an empty one, for its profile and its log."""
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
        (folder / "user.js").write_text("".join(lines))
        log = folder / "log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [find("firefox-esr", "firefox-esr", "firefox"), "--headless", "--no-remote", "--profile", str(folder),
                 "--remote-debugging-port", "0", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"},
            )  # fmt: skip
        self._log = log
        self._last = 0
        self._socket: WebSocket | None = None

    def start(self) -> None:
        eventually(lambda: self._port() or self._process.poll() is not None, 30)
        port = self._port()
        assert port, self._log.read_text(errors="replace")
        self._socket = WebSocket(port, "/session", {"Host": f"127.0.0.1:{port}"}, timeout=30)
        self.command("session.new", capabilities={})

    def _port(self) -> int:
        """The port that it has said it listens on; 0 as long as it has not."""
        found = re.search(r"BiDi listening on ws://127\.0\.0\.1:(\d+)", self._log.read_text(errors="replace"))
        return int(found[1]) if found else 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; its result. An error of the browser's is an AssertionError."""
        assert self._socket is not None
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}).encode())
        while (answer := self._socket.frame()).get("id") != self._last:
            pass  # an event
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, url: str) -> FirefoxTab:
        tab = FirefoxTab(self)
        tab.open(url)
        return tab

    def close(self) -> None:
        if self._socket is not None:
            with suppress(OSError, EOFError, Closed, AssertionError):
                self.command("browser.close")
            self._socket.close()
        end(self._process, 10)
