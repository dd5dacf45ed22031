"""The client in workers, which have no document, no window and no session storage."""

import json
from collections.abc import Callable

import pytest

from cometify import __version__
from tests.browser.conftest import Everywhere
from tests.browser.engine import HEARTBEAT
from tests.browser.site import Site
from tests.browser.visitor import TRANSPORTS
from tests.conftest import Server
from tests.wire import API_KEY

WORKER = """
const channel = new BroadcastChannel('workers');
for (const transports of {transports}) {{
  Cometify.init({{
    apiKey: {api_key}, server: {server}, identifiers: 'workers', transports, share: {share},
    callback: (data) => channel.postMessage([{kind}, 'push', data]),
  }}).start().on('state', ({{state, transport}}) => channel.postMessage([{kind}, state, transport]));
}}
"""
"""A listener for each list of transports. It tells the page its states and pushes."""

PAGE = """<!doctype html>
<title>Workers</title>
<script>
  var told = [];
  var failed = [];
  new BroadcastChannel('workers').onmessage = ({data}) => told.push(data.join(' '));
  var count = (line) => told.filter((other) => other === line).length;
  var note = (error) => failed.push(String(error.message || error));
  var kinds = {
    dedicated: (url) => new Worker(url).onerror = note,
    module: (url) => new Worker(url, {type: 'module'}).onerror = note,
    sharing: (url) => new Worker(url).onerror = note,
    shared: (url) => new SharedWorker(url).onerror = note,
    service: (url) => navigator.serviceWorker.register(url).catch(note),
  };
</script>
"""

SCRIPTS = {
    "module": "import * as Cometify from '{origin}/{version}/cometify.mjs';",
    "sharing": "importScripts('{origin}/latest/cometify.min.js', '{origin}/{version}/cometify.share.min.js');",
}
CLASSIC = "importScripts('{origin}/latest/cometify.min.js');"


@pytest.mark.parametrize("kind", ["dedicated", "module", "sharing", "shared", "service"])
def test_worker_hears_every_push_on_each_transport(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere, kind: str
):
    server = make_server(heartbeat=HEARTBEAT)
    origin = f"http://127.0.0.1:{server.port}"
    ways = ["shared"] if kind == "sharing" else list(TRANSPORTS)
    script = SCRIPTS.get(kind, CLASSIC).format(origin=origin, version=__version__) + WORKER.format(
        transports=json.dumps([TRANSPORTS] if kind == "sharing" else [[way] for way in ways]),
        api_key=API_KEY,
        server=json.dumps(origin),
        share=json.dumps(kind == "sharing"),
        kind=json.dumps(kind),
    )
    worker = site.add(script, "js")
    tabs = everywhere(site.add(PAGE))
    for tab in tabs.values():
        tab.evaluate(f"void kinds.{kind}({json.dumps(worker)})")
    for tab in tabs.values():
        for way in ways:
            tab.until(f"count('{kind} connected {way}')", show="[told, failed]")
    server.pushed("workers", "hi")
    for tab in tabs.values():
        tab.until(f"count('{kind} push hi') === {len(ways)}", show="[told, failed]")
    if kind == "service":
        for tab in tabs.values():
            tab.evaluate("navigator.serviceWorker.getRegistration().then((worker) => worker.unregister())")
