"""A web site that is not the push server's: other port, other origin."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.wire import API_KEY

TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8"}

JOURNAL = """
var journals = {}, shown = [];
addEventListener('pageshow', ({persisted}) => shown.push(persisted));
function listen(name, options) {
  const journal = journals[name] = {got: [], states: [], gaps: [], errors: [], first: null};
  const began = Date.now();
  journal.listener = Cometify.init({callback: 'Boolean', ...options}).start();
  journal.listener.on('push', ({data, identifier}) => {
    journal.first = journal.first || Date.now() - began;
    journal.got.push([identifier, data]);
  });
  journal.listener.on('gap', ({identifiers}) => journal.gaps.push(identifiers));
  journal.listener.on('state', ({state, transport}) => journal.states.push([state, transport, Date.now()]));
  journal.listener.on('error', ({code}) => journal.errors.push(code));
}
function connected() {
  return Object.values(journals).every(({listener}) => listener.state === 'connected');
}
"""
"""Listeners of a page, each with a journal: `got` lists [identifier, text], `first` is the delay of the first push in ms."""


def listens(identifiers: Any, name: str = "page", **options: Any) -> str:
    """The statement that makes a listener of this name."""
    whole = {"apiKey": int(API_KEY), "identifiers": identifiers, **options}
    return f"listen({json.dumps(name)}, {json.dumps(whole)});"


def journal_page(port: int, *statements: str, before: str = "", chance: float = 0.05) -> str:
    """A page whose client comes from this port. `before` is done before it is loaded. How long a listener waits before it
    connects again is up to chance; where a test must not depend on it, it is set.
    """
    return page_with_client(
        f"http://127.0.0.1:{port}/latest/cometify.min.js", *statements, before=before, chance=chance
    )


def page_with_client(client: str, *statements: str, before: str = "", chance: float = 0.05) -> str:
    """The same with the URL of the client."""
    return f"""<!doctype html>
<title>Journals</title>
<script>Math.random = () => {chance}; {before}</script>
<script src="{client}"></script>
<script>{JOURNAL}{"".join(statements)}</script>
"""


class Site:
    def __init__(self) -> None:
        site = self
        self._files: dict[str, tuple[str, dict[str, str]]] = {}
        self._answers: dict[str, Callable[[str], tuple[int, str]]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path not in site._files:
                    self.send_response(204)  # /favicon.ico
                    self.end_headers()
                    return
                text, headers = site._files[self.path]
                body = text.encode()
                self.send_response(200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                given = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, text = site._answers[self.path](given)
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, text: str, kind: str = "html", **headers: str) -> str:
        """Serve this; its URL."""
        path = f"/{len(self._files)}.{kind}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._files[path] = (text, {"Content-Type": TYPES[kind], **named})
        return self.origin + path

    def add_answer(self, answer: Callable[[str], tuple[int, str]]) -> str:
        """Answer POSTs: `answer` gets a body and returns a status and JSON. Returns the URL."""
        path = f"/answers/{len(self._answers)}"
        self._answers[path] = answer
        return self.origin + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
