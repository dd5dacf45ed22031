"""The back end of the example: it keeps orders, renders them, and pushes. python3 app.py [PORT]

Datastar itself handles an event `datastar-merge-fragments`, and puts its elements into the page.
"""

import html
import json
import os
import sys
import time
import urllib.request
import uuid
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

COMETIFY = os.environ.get("COMETIFY", "http://localhost:8081/37282591")
SECRET = os.environ.get("COMETIFY_SECRET", "dj28DNam!!nx72*")
ORDERS = []
EVENT = "datastar-merge-fragments"


def position():
    """The newest position now, or a time before it. It is taken before the orders are read, so that no push is missed."""
    try:
        with urllib.request.urlopen(COMETIFY + "/position", timeout=2) as answer:
            return json.load(answer)["position"]
    except OSError:  # Cometify is away: the clock of this machine will do, with a margin of 5 s
        return int(time.time() * 1_000_000) - 5_000_000


def push(identifier, text):
    """Push a public text. It is sent again while Cometify restarts. Because of the Idempotency-Key it is pushed once.

    Bearer is for back ends on the same machine, and for https.
    """
    body = urlencode({"text": text, "secret": 0, "event": EVENT}).encode()
    headers = {"Authorization": f"Bearer {SECRET}", "Idempotency-Key": uuid.uuid4().hex}
    for patience in (0.1, 0.3, 0.6, 1, 2, None):
        try:
            request = urllib.request.Request(f"{COMETIFY}/push/{identifier}", body, headers)
            return urllib.request.urlopen(request, timeout=2).close()
        except OSError as error:
            if patience is None or getattr(error, "code", 500) < 500:
                raise
        time.sleep(patience)


def listener(server, begin):
    """An element that listens from a position. `server`: the address of Cometify for browsers."""
    url = f"{server}/events?form=raw&identifiers=orders&position={begin}"
    load = html.escape(f"@get('{url}', {{retryMaxCount: 0, openWhenHidden: true}})")
    return f'<div id="pushes" data-on-load="{load}"></div>'


def orders():
    """The whole list, so that a repeated push changes nothing."""
    return '<ul id="orders">' + "".join(f"<li>{html.escape(text)}</li>" for text in ORDERS) + "</ul>"


class App(SimpleHTTPRequestHandler):
    """Serves this folder, and /orders."""

    def do_GET(self):
        if self.path.startswith("/orders"):
            begin = position()
            listens = listener(os.environ.get("COMETIFY_FOR_PAGES", COMETIFY), begin)
            self.answer(f"event: {EVENT}\ndata: fragments {orders()}{listens}\n\n")
        else:
            super().do_GET()

    def do_POST(self):
        signals = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ORDERS.append(signals["text"])
        push("orders", f"fragments {orders()}")  # the order is kept by now
        self.answer("")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8000), App).serve_forever()
