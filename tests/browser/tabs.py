"""Chromium without Playwright, which shows every page as one that is looked at: here a tab can be behind another, and then
the browser freezes it when it is told to.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.browser.chromium import OPTIONS
from tests.browser.engine import Tab, end, find
from tests.wire import Client, WebSocket, eventually


class PlainTab(Tab):
    """Driven over a DevTools connection of its own."""

    def __init__(self, port: int, target: str) -> None:
        self.target = target
        host = {"Host": f"127.0.0.1:{port}"}
        self._socket = WebSocket(port, f"/devtools/page/{target}", host, timeout=20)
        self._last = 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}).encode())
        while (answer := self._socket.frame()).get("id") != self._last:
            pass  # an event
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        answer = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def back(self) -> None:
        self.evaluate("history.back()")

    def freeze(self, *, frozen: bool) -> None:
        """Freeze the page as the browser freezes a page in the background: no timer runs and no event arrives."""
        self.command("Page.setWebLifecycleState", state="frozen" if frozen else "active")

    def close(self) -> None:
        self._socket.close()


class PlainChromium:
    """One window with two tabs: `front` and `behind`."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [find("chromium", "chromium", "chromium-browser", "google-chrome"), "--headless", *OPTIONS,
             f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            told = folder / "DevToolsActivePort"
            eventually(lambda: told.exists() and "\n" in told.read_text(), 20)
            self._port = int(told.read_text().split()[0])
            self.behind = PlainTab(self._port, self._targets()[0])
            self.behind.command("Target.createTarget", url="about:blank")
            eventually(lambda: len(self._targets()) == 2)
            front = next(target for target in self._targets() if target != self.behind.target)
            self.front = PlainTab(self._port, front)
            self.front.command("Page.bringToFront")
        except BaseException:
            end(self._process)
            raise

    def _targets(self) -> list[str]:
        host = {"Host": f"127.0.0.1:{self._port}"}
        answer = Client(self._port).request("GET", "/json/list", headers=host)
        return [target["id"] for target in answer.json if target["type"] == "page"]

    def close(self) -> None:
        self.behind.close()
        self.front.close()
        end(self._process)
