"""WebKitGTK, over WebDriver: one request for each command, to a driver that runs MiniBrowser on an X server of its own."""

import http.client
import json
import os
import subprocess
from contextlib import suppress
from typing import Any

from bench.rig.ports import free_ports
from tests.browser.engine import Engine, Tab, end, find
from tests.wire import eventually

SCRIPT = """
const done = arguments[arguments.length - 1];
const told = (error) => done({error: String(error)});
try { Promise.resolve(%s).then((value) => done({value: JSON.stringify(value)}), told); } catch (error) { told(error); }
"""

SOFTWARE = {"LIBGL_ALWAYS_SOFTWARE": "1", "WEBKIT_DISABLE_DMABUF_RENDERER": "1"}
"""No graphics card is there. Buffers that are shared with one would be imitated, which takes most of the time of a window."""


class WebKitTab(Tab):
    def __init__(self, webkit: "WebKit", handle: str) -> None:
        self._webkit = webkit
        self._handle = handle

    def _command(self, method: str, path: str, **parameters: Any) -> Any:
        return self._webkit.in_window(self._handle, method, path, **parameters)

    def open(self, url: str) -> None:
        self._command("POST", "/url", url=url)

    def evaluate(self, expression: str) -> Any:
        answer = self._command("POST", "/execute/async", script=SCRIPT % expression, args=[])
        assert "error" not in answer, answer["error"]
        return json.loads(answer.get("value") or "null")

    def back(self) -> None:
        self._command("POST", "/back")

    def close(self) -> None:
        self._command("DELETE", "/window")


class WebKit(Engine):
    """The session has one window more than tabs, because it ends with its last window."""

    name = "webkit"

    def __init__(self) -> None:
        self._display, display = self._start_x()
        self._port = free_ports(1)[0]
        # The driver's output goes to /dev/null, because a full pipe without a reader would stop the driver.
        self._driver = subprocess.Popen(
            [find("webkit2gtk-driver", "WebKitWebDriver"), f"--port={self._port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **SOFTWARE, "DISPLAY": display, "GDK_BACKEND": "x11"},
        )  # fmt: skip
        self._window = ""
        self._session = ""

    def start(self) -> None:
        eventually(self._answers, 20)
        capabilities = {"alwaysMatch": {"webkitgtk:browserOptions": {"args": ["--automation"]}}}
        self._session = f"/session/{self._request('POST', '/session', capabilities=capabilities)['sessionId']}"

    @staticmethod
    def _start_x() -> tuple[subprocess.Popen[bytes], str]:
        """Start an X server on a display that nobody has; it and the display's name."""
        read, write = os.pipe()
        server = subprocess.Popen(
            [find("xvfb", "Xvfb"), "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[write],
        )  # fmt: skip
        os.close(write)
        with os.fdopen(read) as told:
            return server, f":{told.readline().strip()}"

    def _answers(self) -> bool:
        assert self._driver.poll() is None, "WebKitWebDriver ended at once"
        with suppress(OSError):
            return bool(self._request("GET", "/status")["ready"])
        return False

    def _request(self, method: str, path: str, **parameters: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=40)
        try:
            body = json.dumps(parameters) if method == "POST" else None
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        assert answer.status == 200, value
        return value

    def in_window(self, handle: str, method: str, path: str, **parameters: Any) -> Any:
        """A command of the session that means this window."""
        if handle != self._window:
            self._request("POST", f"{self._session}/window", handle=handle)
        # Closing the window leaves the session without a current one.
        self._window = "" if method == "DELETE" else handle
        return self._request(method, self._session + path, **parameters)

    def open(self, url: str) -> WebKitTab:
        if not self._window:
            handle = self._request("GET", f"{self._session}/window/handles")[0]
            self._request("POST", f"{self._session}/window", handle=handle)
            self._window = handle
        tab = WebKitTab(self, self._request("POST", f"{self._session}/window/new", type="window")["handle"])
        tab.open(url)
        return tab

    def close(self) -> None:
        with suppress(OSError, AssertionError):
            self._request("DELETE", self._session)
        end(self._driver)
        end(self._display)
