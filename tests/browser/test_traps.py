"""Mistakes that once silenced a whole page: each costs the group that it is about and nothing else, in three browsers."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from tests.browser.conftest import Everywhere
from tests.browser.engine import HEARTBEAT
from tests.browser.site import Site, journal_page
from tests.browser.test_life import listeners
from tests.browser.visitor import TRANSPORTS
from tests.conftest import Server
from tests.lag import SchedulingLag
from tests.wire import API_KEY, API_SECRET, eventually, jwt

MOUNTING = float(os.environ.get("COMETIFY_MOUNTING", "8"))
"""Seconds of mounting and unmounting. The long form is a minute."""
SHARE = 0.99 if MOUNTING >= 60 else 0.5
"""The share of the pushes that must come within a quarter of a second. The short form shares the processors with others."""
MOUNTS_A_SECOND = 1000 / 60
CHANNELS = [f"channel{number}" for number in range(20)]
PUSHES_A_SECOND = 10


def push_event(server: Server, identifier: str, text: str, secret: int) -> None:
    """Push as a Laravel app would."""
    body = {"event": "App.Events.Published", "data": {"title": text}, "secret": secret}
    headers = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"}
    answer = server.request("POST", f"/{API_KEY}/push/{identifier}", json.dumps(body).encode(), headers)
    assert answer.status == 200, answer


def test_channel_that_echo_may_not_hear_silences_no_other(
    make_server: Callable[..., Server], examples: Path, site: Site, everywhere: Everywhere
):
    server = make_server({"identifiers": "extended", "private": ["private-*"]}, heartbeat=HEARTBEAT)

    def authorise(body: str) -> tuple[int, str]:
        channel = dict(parse_qsl(body))["channel_name"]
        if channel == "private-orders.6":
            return 403, "{}"
        return 200, json.dumps({"token": jwt({"exp": time.time() + 3600, "identifiers": [channel]})})

    page = (examples / "echo/index.html").read_text("utf-8")
    for own, tested in {
        "dist/app.js": site.add((examples / "echo/dist/app.js").read_text("utf-8"), "js"),
        "http://localhost:8081": f"http://127.0.0.1:{server.port}",
        "/broadcasting/auth": site.add_answer(authorise),
    }.items():
        assert own in page
        page = page.replace(own, tested)
    tabs = everywhere(site.add(page))
    for tab in tabs.values():
        tab.until("document.getElementById('errors').textContent.includes(': 403')")
        tab.until("document.getElementById('state')?.textContent === 'connected'")
    eventually(lambda: listeners(server) == len(tabs))
    push_event(server, "private-orders.6", "unheard", 1)
    push_event(server, "news", "heard", 0)
    shown = "[...document.querySelectorAll('li')].map((item) => item.textContent)"
    for tab in tabs.values():
        tab.until(f"{shown}.length", show=shown)
        assert tab.evaluate(shown) == ["news: heard"]


def test_token_that_ends_costs_its_group_its_secret_pushes(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere
):
    server = make_server(heartbeat=HEARTBEAT)
    end = time.time() + 8
    token = jwt({"exp": end, "identifiers": ["orders"]})
    page = f"""
    var journals = {{}}, heard = {{}}, failures = {{}};
    for (const transport of {json.dumps(TRANSPORTS)}) {{
      const server = 'http://127.0.0.1:{server.port}';
      const listener = Cometify.connect({{apiKey: {API_KEY}, server, transports: [transport]}});
      const got = heard[transport] = {{orders: [], news: []}};
      const codes = failures[transport] = [];
      let asked = 0;
      const give = () => {{ if (asked++) throw new Error('logged out'); return '{token}'; }};
      listener.subscribe('orders', {{token: give}})
        .on('push', ({{data}}) => got.orders.push(data)).on('error', ({{code}}) => codes.push(code));
      listener.subscribe('news').on('push', ({{data}}) => got.news.push(data));
      journals[transport] = {{listener}};
    }}
    function each(name, count) {{ return Object.values(heard).every((got) => got[name].length >= count); }}
    """
    tabs = everywhere(site.add(journal_page(server.port, page)))
    for tab in tabs.values():
        tab.until("connected()", show="heard")
    assert time.time() < end, "this machine is too slow to see the time before the end"
    server.pushed("orders", "secret before", secret=1)
    for tab in tabs.values():
        tab.until("each('orders', 1)", show="heard")
    news = []
    while time.time() < end + 3:
        news.append(str(len(news)))
        server.pushed("news", news[-1])
        time.sleep(0.1)
    # Only now the right has ended at every listener. A poll may be between two requests, and asks once more.
    server.pushed("orders", "secret after", secret=1)
    server.pushed("orders", "public after")
    server.pushed("news", "the end")
    for engine, tab in tabs.items():
        tab.until(f"each('news', {len(news) + 1}) && each('orders', 2)", 20, show="[heard, failures]")
        for transport in TRANSPORTS:
            got = tab.evaluate(f"heard.{transport}")
            assert got == {"orders": ["secret before", "public after"], "news": [*news, "the end"]}, (engine, transport)
            assert tab.evaluate(f"failures.{transport}")[:1] == ["token_failed"], (engine, transport)
        assert tab.evaluate("connected()")


@pytest.fixture
def mounting_page(site: Site) -> Callable[[Server], str]:
    """A page that mounts and unmounts components, each of which listens to three channels, beside one that stays."""

    def make(server: Server) -> str:
        page = f"""
        const channels = {json.dumps(CHANNELS)}, names = ['orders', ...channels];
        var heard = [], late = [], states = [], mounts = 0, problems = [];
        var listener = Cometify.connect({{apiKey: {API_KEY}, server: 'http://127.0.0.1:{server.port}'}});
        listener.on('state', ({{state}}) => states.push(state));
        listener.on('gap', () => problems.push('gap')).on('error', ({{code}}) => problems.push(code));
        listener.subscribe(channels).on('push', ({{data, identifier}}) => {{
          const [number, sent] = data.split(' ');
          heard.push(identifier + ' ' + number);
          late.push(Date.now() - sent);
        }});
        const mounted = [];
        function mount() {{
          mounts += 1;
          const three = [0, 7, 13].map((step) => channels[(mounts + step) % channels.length]);
          mounted.push(listener.subscribe([...three, 'extra' + mounts % 50]));
          if (mounted.length > 5) mounted.splice(Math.floor(Math.random() * mounted.length), 1)[0].stop();
        }}
        function begin() {{ setInterval(mount, {1000 / MOUNTS_A_SECOND}); }}
        """
        return site.add(journal_page(server.port, page, chance=0.5))

    return make


def test_page_that_mounts_components_all_the_time_loses_nothing(
    make_server: Callable[..., Server],
    mounting_page: Callable[[Server], str],
    everywhere: Everywhere,
    lag: SchedulingLag,
):
    server = make_server(heartbeat=HEARTBEAT)
    tabs = everywhere(mounting_page(server))
    for tab in tabs.values():
        tab.until("listener.state === 'connected'")
        tab.evaluate("begin()")
    sent, began = [], time.time()
    while (now := time.time()) < began + MOUNTING:
        name = CHANNELS[len(sent) % len(CHANNELS)]
        server.pushed(name, f"{len(sent)} {now * 1000:.0f}")
        sent.append(f"{name} {len(sent)}")
        time.sleep(max(0, began + len(sent) / (PUSHES_A_SECOND * len(CHANNELS)) - time.time()))
    for engine, tab in tabs.items():
        tab.until(f"heard.length >= {len(sent)}", 20, show="[heard.length, states, problems]")
        assert tab.evaluate("heard") == sent, engine
        assert tab.evaluate("[states, problems]") == [["connecting", "connected"], []], engine
        assert tab.evaluate("mounts") >= 0.5 * MOUNTING * MOUNTS_A_SECOND, engine
        late = sorted(tab.evaluate("late"))
        assert late[int(SHARE * len(late))] < 250 + 1000 * lag.seconds, (engine, late[-20:])
