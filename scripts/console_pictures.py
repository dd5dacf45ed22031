"""scripts/console_pictures.py [FOLDER]: write the pictures of docs/console.md, or all pictures of the console to a folder.

The console is shown with the made-up load of ten nodes, or with nothing. It needs Chromium and playwright.
"""

import json
import math
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "cometify" / "static"
DOCS = ROOT / "docs"
EVERY, SAMPLES = 5, 720
BOUNDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
KINDS = {"html": "text/html; charset=utf-8", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
ACCOUNTS = [f"site{number:02}" for number in range(1, 41)]
VIEWS = {
    "overview": "overview",
    "account": "overview?account=site07",
    "accounts": "accounts",
    "management": "management?account=site07",
    "identifiers": "identifiers?account=site07",
    "identifier": "identifier?account=site07&identifier=orders",
    "refusals": "refusals",
    "check": "check",
    "nodes": "nodes",
}

REFUSALS = [
    ("site07", "too_many_pushes", 9120, "This account may push 50 times a second: push again in 1 s."),
    ("site12", "not_authorized", 421, "The API key is unknown or Authorization does not hold its API secret."),
    (None, "not_authorized", 37, "There is no account of this API key: check the apiKey."),
    (
        "site31",
        "too_many_listeners",
        12,
        "30 listeners are connected from this address, which is the most for this account.",
    ),
    ("site03", "invalid_token", 3, "The token is not accepted: its signature does not match."),
]


class Load:
    """The answers of ten nodes with two workers each. `is_empty`: those of one server that nobody uses."""

    def __init__(self, *, is_empty: bool) -> None:
        self.is_empty = is_empty
        self.chance = random.Random(7)
        self.now = int(time.time())

    def processes(self) -> list[dict[str, Any]]:
        """What all reports have."""
        if self.is_empty:
            return [{"id": "only", "host": "web1", "pid": 4100}]
        return [
            {"id": f"{node}-{worker}", "host": f"push{node:02}", "pid": 4100 + worker}
            for node in range(1, 11)
            for worker in (1, 2)
        ]

    def samples(self, columns: dict[str, list[int]]) -> dict[str, Any]:
        """The samples of the last hour."""
        last = self.now // EVERY
        return {"every": EVERY, "from": (last - SAMPLES + 1) * EVERY, "samples": SAMPLES, "columns": columns}

    def wave(self, high: float, spread: float = 0.15, jump: tuple[int, int] = (0, 0)) -> list[int]:
        """Figures that go up and down slowly, and are four times as high in between."""
        found = []
        for index in range(SAMPLES):
            slow = 0.75 + 0.25 * math.sin(index / 110)
            more = 4 if jump[0] <= index < jump[1] else 1
            found.append(max(0, round(high * slow * more * self.chance.gauss(1, spread))))
        return found

    def histogram(self, name: str, many: float, middle: int, jump: tuple[int, int] = (0, 0)) -> dict[str, list[int]]:
        """The counts of a histogram, most of them in the bucket `middle`."""
        columns = {}
        for bucket in range(16):
            share = math.exp(-((bucket - middle) ** 2) / 2.2)
            columns[f"{name}.{bucket}"] = [
                round(many * (math.exp(-((bucket - middle - 4) ** 2) / 2.2) if jump[0] <= index < jump[1] else share))
                for index in range(SAMPLES)
            ]
        return columns

    def history(self) -> dict[str, Any]:
        """The columns of one process."""
        if self.is_empty:
            return self.samples({})
        late = (430, 455)
        columns = {
            "pushes": self.wave(110, jump=(300, 330)),
            "deliveries": self.wave(5200, jump=(300, 330)),
            "refused.not_authorized": self.wave(0.6, 0.9),
            "refused.too_many_pushes": [0] * 300 + self.wave(60, jump=(0, 0))[:30] + [0] * 390,
            "refused.too_many_listeners": self.wave(0.3, 1),
            "refused.invalid_token": self.wave(0.4, 1),
            **{f"listeners.{name}": self.wave(high, 0.004) for name, high in
               (("websocket", 3900), ("stream", 240), ("events", 310), ("poll", 60))},
            **self.histogram("lag", 600, 3, late),
            **self.histogram("redis", 900, 1, late),
        }  # fmt: skip
        return self.samples(columns)

    def limits(self) -> dict[str, Any]:
        """The file descriptors, certificates and Redis of one process."""
        return {
            "descriptors": {"used": 2400, "most": 524_288},
            "certificates": [{"endpoint": "ssl:443", "not_after": self.now + 61 * 86_400, "lacks": None}],
            "redis": {"up": True, "reason": None, "used": 1_310_000_000, "most": 2_000_000_000, "policy": "noeviction",
                      "replicas": 1, "wanted_replicas": 1},
        }  # fmt: skip

    def break_some(self, told: dict[str, Any]) -> None:
        """Let some processes have faults."""
        away, full, old = (told["processes"][index] for index in (7, 12, 16))
        away["not_ready"] = "engine_unavailable"
        away["redis"].update(up=False, used=None, most=0, policy=None, replicas=None,
                             reason="WRONGPASS invalid username-password pair or user is disabled")  # fmt: skip
        full["descriptors"] = {"used": 1004, "most": 1024}
        old["certificates"][0]["not_after"] = self.now + 5.5 * 86_400
        told["silent"] = [{"worker": 2, "pid": 4102, "seconds": 9}]
        told["processes"][0]["worker"] = 1
        del told["processes"][1]

    def account(self, name: str) -> dict[str, Any]:
        """An account, as the admin endpoint tells it."""
        settings = {"listeners": 5000, "pushes_per_second": 50, "private": ["user_*"]}
        suspended, secrets = name == "site31", 2 if name == "site07" else 1
        return {"api_key": name, "source": "store", "suspended": suspended, "secrets": secrets, "settings": settings}

    def answer(self, path: str, query: dict[str, str]) -> object:
        """The JSON of a request."""
        if path == "/accounts":
            return {"accounts": [] if self.is_empty else list(map(self.account, ACCOUNTS)), "next": None}
        if path.startswith("/accounts/"):
            return self.account(path.removeprefix("/accounts/"))
        make = getattr(self, f"_{path.removeprefix('/console/')}")
        return make(query)

    def _reports(self, more: Any) -> dict[str, Any]:
        return {"alone": None, "silent": [], "processes": [{**process, **more()} for process in self.processes()]}

    def _processes(self, _query: dict[str, str]) -> object:
        started = self.now - 3 * 86400
        engine = "memory" if self.is_empty else "redis"

        def more() -> dict[str, Any]:
            state = {
                "version": "0.1.0", "started": started, "now": time.time(), "not_ready": None, "engine": engine,
                "http": ["tcp:8081"], "bounds": BOUNDS, "history": self.history(), "certificates": [], "redis": None,
                "descriptors": {"used": 23, "most": 524_288},
            }  # fmt: skip
            return state if self.is_empty else {**state, **self.limits()}

        told = self._reports(more)
        if not self.is_empty:
            self.break_some(told)
        return told

    def _accounts(self, _query: dict[str, str]) -> object:
        def more() -> dict[str, Any]:
            if self.is_empty:
                return {"last_minute": {}, "listeners": {}}
            figures = {
                name: {"pushes": 3000 // (place + 1), "deliveries": 160_000 // (place + 1),
                       "push_bytes": 400_000 // (place + 1), "delivered_bytes": 22_000_000 // (place + 1),
                       "refused": 90 if place == 6 else 0}
                for place, name in enumerate(ACCOUNTS)
            }  # fmt: skip
            return {
                "last_minute": figures,
                "listeners": {name: 900 // (place + 2) for place, name in enumerate(ACCOUNTS)},
            }

        return self._reports(more)

    def _account(self, _query: dict[str, str]) -> object:
        columns = {} if self.is_empty else {
            "pushes": self.wave(12), "deliveries": self.wave(310), "listeners": self.wave(240, 0.01),
            "refused": [0] * 300 + [60] * 30 + [0] * 390,
        }  # fmt: skip
        return self._reports(lambda: {"history": self.samples(columns)})

    def _refusals(self, _query: dict[str, str]) -> object:
        found = [] if self.is_empty else [
            {"account": account, "code": code, "detail": detail, "count": count, "first": self.now - 900,
             "last": self.now - place * 41}
            for place, (account, code, count, detail) in enumerate(REFUSALS)
        ]  # fmt: skip
        told = self._reports(lambda: {"refusals": []})
        told["processes"][0]["refusals"] = found
        return told

    def _webhooks(self, _query: dict[str, str]) -> object:
        told = self._reports(lambda: {"webhooks": []})
        if not self.is_empty:
            works = {"api_key": "site03", "url": "https://site03.example/hook", "waiting": 0,
                     "last_success": self.now - 4,
                     "last_error": None, "last_error_at": None, "failing_since": None}  # fmt: skip
            fails = {**works, "api_key": "site07", "url": "https://site07.example/hook", "waiting": 312,
                     "last_error": "the receiver answered 502", "last_error_at": self.now - 20,
                     "failing_since": self.now - 700}  # fmt: skip
            told["processes"][2]["webhooks"] = [works, fails]
        return told

    def _identifiers(self, _query: dict[str, str]) -> object:
        names = (
            []
            if self.is_empty
            else ["orders", "chat", "news", "metrics", *[f"order_{number}" for number in range(1, 30)]]
        )
        rows = [
            {"identifier": name, "listeners": 2400 // (place + 1), "kept": 900 // (place + 1), "bytes": 260_000 // (place + 1),
             "position": (self.now - place * 7) * 1_000_000}
            for place, name in enumerate(names)
        ]  # fmt: skip
        return {"identifiers": rows, "next": None}

    def _counts(self, query: dict[str, str]) -> object:
        empty = {"websocket": 0, "stream": 0, "events": 0, "poll": 0}
        transports = empty if self.is_empty else {"websocket": 2200, "stream": 100, "events": 88, "poll": 12}
        return {
            "identifier": query["identifier"], "listeners": sum(transports.values()), "kept": 0 if self.is_empty else 900,
            "bytes": 0 if self.is_empty else 260_000, "position": None, "transports": transports,
            "secret_listeners": 0 if self.is_empty else 1400,
        }  # fmt: skip

    def _identifier(self, _query: dict[str, str]) -> object:
        def more() -> dict[str, Any]:
            view = {"transport": "websocket", "secret": True, "count": 110, "behind": 0, "with_internal_id": 4,
                    "names": ["orders", "chat"], "names_in_all": 2}  # fmt: skip
            pushes = [
                {
                    "position": (self.now - place * 3) * 1_000_000,
                    "push_id": f"{900 - place}",
                    "secret": place % 3 == 0,
                    "bytes": 288,
                }
                for place in range(8)
            ]
            empty = {"listeners": [], "views": 0, "slow": [], "kept": None, "bytes": None, "pushes": []}
            full = {"listeners": [view], "views": 1, "slow": [], "kept": 900, "bytes": 260_000, "pushes": pushes}
            return {"identifier": empty if self.is_empty else full}

        told = self._reports(more)
        if not self.is_empty:
            told["processes"] = told["processes"][:4]
            told["processes"][1]["identifier"]["slow"] = [
                {
                    "listener": "k3jd93jdk20dk3l9",
                    "transport": "websocket",
                    "seconds": 17,
                    "unread": 131_072,
                    "behind_by": 22.4,
                }
            ]
        return told


@contextmanager
def serve(load: Load) -> Iterator[str]:
    """Serve the page with a load. Yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            if parts.path.startswith(("/console/", "/accounts")):
                self._send("application/json", json.dumps(load.answer(parts.path, query)).encode())
                return
            name = parts.path[1:] or "index.html"
            folder = "page" if name == "favicon.svg" else "console"
            self._send(KINDS[name.rpartition(".")[2]], (STATIC / folder / name).read_bytes())

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def take(browser: Browser, url: str, view: str, to: Path, *, size: dict[str, int], scheme: Any, is_whole: bool) -> None:
    """Take the picture of one view."""
    page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page.on("pageerror", lambda error: print(f"{view}: {error}", file=sys.stderr))
    page.goto(f"{url}#{VIEWS[view]}")
    page.wait_for_function("document.getElementById('state').textContent")
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if overflow > 0:
        print(f"{view} is {overflow} pixels too wide at {size['width']}", file=sys.stderr)
    page.screenshot(path=to, full_page=is_whole)
    page.close()


def main(folder: str | None = None) -> None:
    """Write the pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        with serve(Load(is_empty=False)) as full, serve(Load(is_empty=True)) as empty:
            if folder is None:
                take(browser, full, "overview", DOCS / "console.png", size=WIDE, scheme="light", is_whole=False)
                take(browser, full, "refusals", DOCS / "console-dark.png", size=WIDE, scheme="dark", is_whole=False)
            else:
                for view in VIEWS:
                    for name, url in (("full", full), ("empty", empty)):
                        for size, scheme in ((WIDE, "light"), (NARROW, "dark")):
                            to = Path(folder) / f"{view}-{name}-{size['width']}.png"
                            take(browser, url, view, to, size=size, scheme=scheme, is_whole=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
