"""A page that listens to more while it runs, and one whose right comes from tokens that end."""

import json
import time
from collections.abc import Callable

import pytest

from tests.browser.conftest import Everywhere
from tests.browser.engine import ENGINES, HEARTBEAT
from tests.browser.site import Site, journal_page, listens
from tests.browser.visitor import TRANSPORTS
from tests.conftest import Server
from tests.wire import jwt, secure_key


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(heartbeat=HEARTBEAT)


def got(count: int) -> str:
    return f"Object.values(journals).every(({{got}}) => got.length >= {count})"


def test_subscribing_at_run_time_misses_nothing(server: Server, site: Site, everywhere: Everywhere):
    statements = [listens("first", transport, transports=[transport]) for transport in TRANSPORTS]
    more = f"const more = {json.dumps({'secureKey': secure_key('Second')})};"
    subscribe = """
    var called = {};
    function subscribe() {
      for (const [name, {listener}] of Object.entries(journals)) {
        called[name] = [];
        listener.subscribe('Second', {...more, callback: (...all) => called[name].push(all)});
      }
    }
    function unsubscribe(identifier) {
      for (const {listener} of Object.values(journals)) listener.unsubscribe(identifier);
    }
    """
    tabs = everywhere(site.add(journal_page(server.port, *statements, more, subscribe)))
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    server.pushed("second", "too early", secret=1)
    server.pushed("first", "before")
    for tab in tabs.values():
        tab.until(got(1), show="journals")
        tab.evaluate("subscribe()")
    count = 1
    joined = "Object.values(called).every((calls) => calls.length)"
    while not all(tab.evaluate(joined) for tab in tabs.values()):
        server.pushed("first", f"while it joins {count}")
        server.pushed("second", f"secret {count}", secret=1)
        count += 1
        assert count < 1000
    server.pushed("first", "the last of the first")
    for engine, tab in tabs.items():
        last = "got.some(([, text]) => text === 'the last of the first')"
        tab.until(f"Object.values(journals).every(({{got}}) => {last})", show="journals")
        for transport in TRANSPORTS:
            every = tab.evaluate(f"journals.{transport}.got")
            first = [text for name, text in every if name == "first"]
            expected = [f"while it joins {number}" for number in range(1, count)]
            assert first == ["before", *expected, "the last of the first"], (engine, transport)
            second = [text for name, text in every if name == "Second"]
            assert second == [f"secret {number}" for number in range(count - len(second), count)], (engine, transport)
            assert tab.evaluate(f"called.{transport}") == [[text, None, "Second"] for text in second]
        tab.evaluate("unsubscribe('first')")
        tab.evaluate("(Object.values(journals).forEach((journal) => { journal.got = []; }), true)")
    for text in ("after", "and after"):
        server.pushed("first", "unheard")
        server.pushed("second", text, secret=1)
    for engine, tab in tabs.items():
        tab.until(got(2), show="journals")
        for transport in TRANSPORTS:
            expected = [["Second", "after"], ["Second", "and after"]]
            assert tab.evaluate(f"journals.{transport}.got") == expected, (engine, transport)
            assert tab.evaluate(f"journals.{transport}.gaps") == []


def test_subscriptions_to_one_name_end_one_by_one(server: Server, site: Site, everywhere: Everywhere):
    page = f"""
    var journals = {{}}, heard = {{}};
    for (const transport of {json.dumps(TRANSPORTS)}) {{
      const server = 'http://127.0.0.1:{server.port}';
      const listener = Cometify.connect({{apiKey: 37282591, server, transports: [transport]}});
      const [one, other] = [listener.subscribe('Shop'), listener.subscribe('Shop')];
      journals[transport] = {{listener, one, other}};
      heard[transport] = {{one: [], other: []}};
      one.on('push', ({{data}}) => heard[transport].one.push(data));
      other.on('push', ({{data}}) => heard[transport].other.push(data));
    }}
    function hear(name, count) {{
      return Object.values(heard).every((each) => each[name].length >= count);
    }}
    """
    tabs = everywhere(site.add(journal_page(server.port, page)))
    for tab in tabs.values():
        tab.until("connected()", show="heard")
    server.pushed("shop", "to both")
    for tab in tabs.values():
        tab.until("hear('one', 1) && hear('other', 1)", show="heard")
        tab.evaluate("(Object.values(journals).forEach(({one}) => one.stop()), true)")
    server.pushed("shop", "to one")
    for engine, tab in tabs.items():
        tab.until("hear('other', 2)", show="heard")
        expected = {"one": ["to both"], "other": ["to both", "to one"]}
        assert tab.evaluate("heard") == dict.fromkeys(TRANSPORTS, expected), engine
        tab.evaluate("(Object.values(journals).forEach(({other}) => other.stop()), true)")
        tab.until("Object.values(journals).every(({listener}) => listener.state === 'idle')", show="heard")


def test_refused_identifier_costs_its_subscription_alone(server: Server, site: Site, everywhere: Everywhere):
    statements = [listens("plain", transport, transports=[transport]) for transport in TRANSPORTS]
    subscribe = """
    var refused = {};
    function subscribe() {
      for (const [name, {listener}] of Object.entries(journals)) {
        const subscription = listener.subscribe(['with-hyphen', 'other'], () => {});
        subscription.on('error', ({code, detail}) => refused[name] = [code, detail, subscription]);
      }
    }
    """
    tabs = everywhere(site.add(journal_page(server.port, *statements, subscribe)))
    for tab in tabs.values():
        tab.until("connected()", show="journals")
        tab.evaluate("subscribe()")
    for tab in tabs.values():
        tab.until(f"Object.keys(refused).length === {len(TRANSPORTS)}", show="refused")
        tab.until("connected()", show="journals")
    server.pushed("plain", "goes on")
    for tab in tabs.values():
        tab.until(got(1), show="journals")
        for transport in TRANSPORTS:
            code, detail, state = tab.evaluate(f"(([a, b, {{state}}]) => [a, b, state])(refused.{transport})")
            assert (code, state) == ("invalid_identifier", "stopped")
            assert "because of the character '-'" in detail


def test_tokens_that_fail_cost_only_their_own_group(server: Server, site: Site, everywhere: Everywhere):
    page = f"""
    var journals = {{}}, failures = {{}}, heard = {{}};
    for (const transport of {json.dumps(TRANSPORTS)}) {{
      const server = 'http://127.0.0.1:{server.port}';
      const listener = Cometify.connect({{apiKey: 37282591, server, transports: [transport]}});
      journals[transport] = {{listener}};
      failures[transport] = {{}};
      heard[transport] = {{}};
      const tokens = {{open: null, thrown: () => {{ throw new Error('closed'); }}, refused: () => 'no token'}};
      for (const [name, token] of Object.entries(tokens)) {{
        failures[transport][name] = [];
        heard[transport][name] = [];
        listener.subscribe(name, {{token}})
          .on('push', ({{data}}) => heard[transport][name].push(data))
          .on('error', ({{code, identifiers}}) => identifiers && (failures[transport][name][0] = code));
      }}
    }}
    function all(count) {{
      return Object.values(heard).every((names) => Object.values(names).every((got) => got.length >= count));
    }}
    """
    tabs = everywhere(site.add(journal_page(server.port, page)))
    joined = "Object.values(failures).every(({refused, thrown}) => refused[0] && thrown[0]) && connected()"
    for tab in tabs.values():
        tab.until(joined, show="[failures, heard]")
    for name in ("open", "thrown", "refused"):
        server.pushed(name, "secret", secret=1)
        server.pushed(name, "public")
    for engine, tab in tabs.items():
        tab.until("all(1)", show="[failures, heard]")
        heard = {"open": ["public"], "thrown": ["public"], "refused": ["public"]}
        assert tab.evaluate("heard") == dict.fromkeys(TRANSPORTS, heard), engine
        errors = {"open": [], "thrown": ["token_failed"], "refused": ["invalid_token"]}
        assert tab.evaluate("failures") == dict.fromkeys(TRANSPORTS, errors), engine


def test_page_renews_its_token_and_misses_nothing(server: Server, site: Site, everywhere: Everywhere):
    def tokens() -> list[str]:
        now = int(time.time())
        return [jwt({"exp": now + lasts, "identifiers": ["tok*"]}) for lasts in (5, 60)]

    urls: dict[str, str] = {}
    for engine in ENGINES:
        page = [f"const tokens = {json.dumps(tokens())}; var asked = {{}};"]
        for transport in TRANSPORTS:
            options = {"apiKey": 37282591, "identifiers": ["tokened"], "transports": [transport]}
            ask = f"token: async () => tokens[asked.{transport} = (asked.{transport} || 0) + 1, asked.{transport} - 1]"
            page.append(f"listen('{transport}', {{...{json.dumps(options)}, {ask}}});")
        urls[engine] = site.add(journal_page(server.port, *page))
    tabs = everywhere(urls)
    for tab in tabs.values():
        tab.until("connected()", show="[journals, asked]")
    texts: list[list[str]] = []
    until = time.monotonic() + 6
    while time.monotonic() < until:
        texts.append(["tokened", str(len(texts))])
        server.push("tokened", texts[-1][1], secret=1)
        time.sleep(0.05)
    for engine, tab in tabs.items():
        tab.until(got(len(texts)), show="[journals, asked]")
        for transport in TRANSPORTS:
            assert tab.evaluate(f"journals.{transport}.got") == texts, (engine, transport)
            gaps, errors, asked = tab.evaluate(
                f"['gaps', 'errors'].map((key) => journals.{transport}[key]).concat(asked.{transport})"
            )
            assert (gaps, asked) == ([], 2), (engine, transport)
            # A page on a busy machine may be late. It is warned then that its right had ended, and loses nothing either.
            assert set(errors) <= {"warning"}, (engine, transport)


MANY = {letter: [f"{letter}{number}" for number in range(60)] for letter in "ab"}


def test_subscription_too_many_is_refused_alone(server: Server, site: Site, everywhere: Everywhere):
    statements = [listens(MANY["a"], transport, transports=[transport]) for transport in TRANSPORTS]
    subscribe = f"""
    var refused = {{}};
    for (const [name, {{listener}}] of Object.entries(journals)) {{
      const one = refused[name] = {{got: [], errors: []}};
      listener.subscribe({json.dumps(MANY["b"])})
        .on('push', ({{data}}) => one.got.push(data))
        .on('error', ({{code, detail}}) => one.errors.push([code, detail.slice(0, 13)]));
    }}
    function unsubscribe(identifiers) {{
      for (const {{listener}} of Object.values(journals)) listener.unsubscribe(identifiers);
    }}
    """
    tabs = everywhere(
        site.add(journal_page(server.port, *statements, listens(MANY["a"], "shared", share=True), subscribe))
    )
    for tab in tabs.values():
        tab.until("connected() && Object.values(refused).every(({errors}) => errors.length)", show="refused")
    server.pushed("b1", "while it is refused")
    server.pushed("a1", "for the first")
    for tab in tabs.values():
        tab.until(got(1), show="journals")
        tab.evaluate(f"unsubscribe({json.dumps(MANY['a'])})")
        tab.until("Object.values(refused).every(({got}) => got.length)", show="refused")
    server.pushed("b2", "live")
    for engine, tab in tabs.items():
        tab.until("Object.values(refused).every(({got}) => got.length > 1)", show="refused")
        for name in (*TRANSPORTS, "shared"):
            heard = [["a1", "for the first"], ["b1", "while it is refused"], ["b2", "live"]]
            assert tab.evaluate(f"journals.{name}.got") == heard, (engine, name)
            assert tab.evaluate(f"journals.{name}.gaps") == []
            expected = {"got": ["while it is refused", "live"], "errors": [["refused", "Not joined: b"]]}
            assert tab.evaluate(f"refused.{name}") == expected, (engine, name)
