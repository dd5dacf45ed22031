"""Failures between pages and the server: connections are cut or fall silent, and the server dies. In three engines, on
each transport.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.browser.conftest import Everywhere
from tests.browser.engine import ENGINES, HEARTBEAT
from tests.browser.proxy import Cutting, Proxy, Stalling
from tests.browser.site import Site, journal_page, listens
from tests.browser.visitor import TRANSPORTS
from tests.conftest import Server
from tests.lag import SchedulingLag

NAMES = ("one", "two", "three")


def through(server: Server, proxies: dict[str, Any], **options: Any) -> str:
    """A page with a listener on each transport, through the proxy of that transport."""
    return journal_page(
        server.port,
        *(
            listens(NAMES, name, server=f"http://127.0.0.1:{proxy.port}", transports=[name], **options)
            for name, proxy in proxies.items()
        ),
        chance=0,
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def of_engines(stack: ExitStack, make: Callable[[int], Proxy]) -> dict[str, dict[str, Any]]:
    """A proxy for each transport of each engine. `make` gets the number of the proxy."""
    numbers = iter(range(100))
    return {
        engine: {transport: stack.enter_context(make(next(numbers))) for transport in TRANSPORTS} for engine in ENGINES
    }


def test_pushes_arrive_once_in_order_over_many_cuts(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere, stack: ExitStack
):
    server = make_server(heartbeat=HEARTBEAT)
    proxies = of_engines(stack, lambda number: Cutting(server.port, seed=number, most=16_000))
    every = [proxy for those in proxies.values() for proxy in those.values()]
    for proxy in every:
        proxy.cutting = False
    tabs = everywhere({engine: site.add(through(server, those)) for engine, those in proxies.items()})
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    for proxy in every:
        proxy.cutting = True
    pushes = [[NAMES[number * number % 3], str(number)] for number in range(2000)]
    for name, text in pushes:
        server.pushed(name, text)
    for engine, tab in tabs.items():
        for transport in TRANSPORTS:
            journal = f"journals.{transport}"
            tab.until(f"{journal}.got.length >= 2000", 90, show=f"[{journal}.got.length, {journal}.states.slice(-20)]")
            assert tab.evaluate(f"{journal}.got") == pushes, (engine, transport)
            assert tab.evaluate(f"[{journal}.gaps, {journal}.listener.transport]") == [[], transport]
            assert proxies[engine][transport].cuts >= 12, (engine, transport)


@pytest.mark.parametrize(
    ("engine", "how"), [("memory", signal.SIGKILL), ("memory", signal.SIGTERM), ("redis", signal.SIGKILL)]
)
def test_pages_return_with_the_server_and_hear_of_gaps(
    make_server: Callable[..., Server],
    request: pytest.FixtureRequest,
    site: Site,
    everywhere: Everywhere,
    engine: str,
    how: signal.Signals,
):
    options = {"redis": request.getfixturevalue("redis").url} if engine == "redis" else {}
    server = make_server(drain=1, heartbeat=HEARTBEAT, **options)
    statements = [listens(NAMES, transport, transports=[transport]) for transport in TRANSPORTS]
    tabs = everywhere(site.add(journal_page(server.port, *statements, listens(NAMES, "automatic"))))
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    server.pushed("one", "before")
    before = "Object.values(journals).every(({got}) => got.length === 1)"
    for tab in tabs.values():
        tab.until(before, show="journals")
    assert server.stop(how) == -how
    server.start()
    server.pushed("two", "perhaps while they are away")
    server.pushed("one", "after")
    for tab in tabs.values():
        tab.until("connected() && Object.values(journals).every(({got}) => got.length === 3)", 20, show="journals")
    server.pushed("three", "live")
    for browser, tab in tabs.items():
        for name in (*TRANSPORTS, "automatic"):
            tab.until(f"journals.{name}.got.length >= 4", show=f"journals.{name}")
            journal = {key: tab.evaluate(f"journals.{name}.{key}") for key in ("got", "gaps")}
            assert journal["got"] == [
                ["one", "before"],
                ["two", "perhaps while they are away"],
                ["one", "after"],
                ["three", "live"],
            ], (browser, name)
            # The last pushes before the end may have been in memory and are gone then. Redis has them all.
            gaps = [] if engine == "redis" else [sorted(NAMES)]
            assert [sorted(gap) for gap in journal["gaps"]] == gaps, (browser, name)


def test_silent_connection_is_left_in_time(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere, stack: ExitStack, lag: SchedulingLag
):
    server = make_server(heartbeat=HEARTBEAT)
    proxies = of_engines(stack, lambda _: Stalling(server.port))
    tabs = everywhere({engine: site.add(through(server, those)) for engine, those in proxies.items()})
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    stalled = time.time()
    for those in proxies.values():
        for proxy in those.values():
            proxy.stall()
    server.pushed("one", "unheard at first")
    for engine, tab in tabs.items():
        for transport in TRANSPORTS:
            tab.until(f"journals.{transport}.got.length", 20, show=f"journals.{transport}")
            states = tab.evaluate(f"journals.{transport}.states")
            left = next(at for state, _, at in states if at > 1000 * stalled and state != "connected") / 1000 - stalled
            assert left < HEARTBEAT + 10 + 0.5 + lag.seconds, (engine, transport, states)
            assert tab.evaluate(f"journals.{transport}.got") == [["one", "unheard at first"]], (engine, transport)
            assert tab.evaluate(f"journals.{transport}.gaps") == []
