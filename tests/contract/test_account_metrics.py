"""/metrics with `account_metrics`: the figures of each account are what its publishers and listeners have seen."""

import re
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, TRANSPORTS, by_query, fields, kinds, post, push_fields
from tests.memory import World
from tests.wire import form, request_bytes, secure

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
OTHER, ITS_SECRET = "site02", "the secret of site02"
PREFIX = "cometify_account_"


def make_world(**more):
    accounts = (Account(API_KEY, (API_SECRET,), listeners_per_ip=5), Account(OTHER, (ITS_SECRET,)))
    return World(*accounts, account_metrics=True, **more)


@pytest.fixture
def world(engine):
    return make_world()


def samples(world):
    """The figures of all accounts: {(name, account): value}, and the code as a third part for refusals."""
    found = {}
    for family in read_text(world.admin("GET", "/metrics").body.decode()):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                found[(sample.name.removeprefix(PREFIX), *sample.labels.values())] = sample.value
    return found


def of(world, account):
    return {key[0]: value for key, value in samples(world).items() if key[1:] == (account,)}


def refusals(world, account):
    return {key[2]: value for key, value in samples(world).items() if key[1] == account and len(key) == 3 and value}


def push_other(world, text):
    body = form({"text": text, "secret": "0", "secure": secure("chat", text, OTHER, ITS_SECRET)})
    assert post(world, f"/{OTHER}/push/chat", body).status == 200


def test_pushes_and_their_bytes_are_those_of_the_account(world):
    before = of(world, API_KEY).get("pushes_total", 0)  # with Redis each account begins with a push
    size = of(world, API_KEY).get("push_bytes_total", 0)
    world.pushed("chat", "é" * 10)
    world.pushed("chat", "x", secret=1)
    push_other(world, "xyz")
    mine, other = of(world, API_KEY), of(world, OTHER)
    assert (mine["pushes_total"] - before, mine["push_bytes_total"] - size) == (2, 21)
    assert (other["pushes_total"], other["push_bytes_total"]) == (1, 3)


def test_deliveries_and_bytes_are_what_listeners_received(world):
    listeners = [by_query(world, transport, "identifiers=chat") for transport in ("stream", "websocket", "events")]
    other = by_query(world, "stream", "identifiers=chat", key=OTHER)
    world.advance(1)
    for text in ("x" * 50, "y" * 3000):
        world.pushed("chat", text)
        push_other(world, text)
        world.advance(1)
    assert [kinds(wire.frames()).count("push") for wire in listeners] == [2, 2, 2]
    assert of(world, API_KEY)["deliveries_total"] == 6
    stream = [line for line in other.body().splitlines(keepends=True) if b'"type":"push"' in line]
    chunked = sum(len(b"%x\r\n%b\r\n" % (len(line), line)) for line in stream)
    found = of(world, OTHER)
    assert (found["deliveries_total"], found["delivered_bytes_total"]) == (2, chunked)


def test_listeners_of_all_transports_are_counted_while_joined(world):
    at = world.pushed("chat", "x")
    wires = [
        by_query(world, transport, f"identifiers=chat&position={at}" if transport == "poll" else "identifiers=chat")
        for transport in TRANSPORTS
    ]
    by_query(world, "stream", "identifiers=chat", key=OTHER)
    world.advance(1)
    assert (of(world, API_KEY)["listeners"], of(world, OTHER)["listeners"]) == (4, 1)
    for wire in wires:
        wire.lose()
    world.advance(1)
    assert (of(world, API_KEY)["listeners"], of(world, OTHER)["listeners"]) == (0, 1)
    assert (of(world, API_KEY)["joins_total"], of(world, OTHER)["joins_total"]) == (4, 1)


def test_refusals_of_pushes_joins_and_questions_are_counted_by_code(world):
    push_fields(world, "chat", fields("chat", "x", secure="0" * 32))
    push_fields(world, "a!b", fields("chat", "x"))
    for transport in TRANSPORTS:
        by_query(world, transport, "identifiers=a!b")
    for transport in ("stream", "websocket", "events", "stream", "websocket", "events", "poll"):
        by_query(world, transport, "identifiers=chat", host="10.1.1.1")
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("GET", f"/{API_KEY}/identifiers", None, {"Authorization": "Bearer guessed"}))
    wire.answer()
    world.advance(1)
    assert refusals(world, API_KEY) == {"not_authorized": 2, "invalid_identifier": 5, "too_many_listeners": 2}
    assert refusals(world, OTHER) == {}


def test_gaps_are_counted_for_the_account_that_was_told(world):
    at = world.clock() - 3600 * 1_000_000
    world.pushed("chat", "x")
    wire = by_query(world, "stream", f"identifiers=chat&position={at - 86_400_000_000}")
    world.advance(1)
    assert kinds(wire.frames()).count("gap") == 1
    assert of(world, API_KEY)["gaps_total"] == 1


def test_kept_pushes_are_told_for_each_account(world):
    by_query(world, "stream", "identifiers=chat")
    by_query(world, "stream", "identifiers=chat", key=OTHER)
    world.advance(1)
    world.pushed("chat", "one")
    world.pushed("chat", "two")
    push_other(world, "three")
    world.advance(12)  # with Redis they are counted every ten seconds
    mine, other = of(world, API_KEY), of(world, OTHER)
    assert (mine["kept_pushes"], other["kept_pushes"]) == (2, 1)
    assert mine["kept_bytes"] > other["kept_bytes"] > 50


def test_api_keys_of_strangers_make_no_series(world):
    for number in range(50):
        world.push("chat", "x", key=f"made_up_{number}")
        for transport in TRANSPORTS:
            by_query(world, transport, "identifiers=chat", key=f"made_up_{number}")
    world.advance(1)
    accounts = Counter(key[1] for key in samples(world))
    assert accounts.keys() <= {API_KEY, OTHER}
    assert len(world.server.usage.figures()) <= 2


def test_account_metrics_are_off_by_default():
    world = World()
    world.pushed("chat", "x")
    assert samples(world) == {}


def test_docs_list_exactly_the_figures_of_accounts(world):
    world.pushed("chat", "x")
    world.advance(12)  # with Redis the kept pushes are counted every ten seconds
    listed = re.findall(rf"^\| `{PREFIX}(\w+)\{{(\w+(?:,\w+)*)\}}`", DOCS.read_text(), re.MULTILINE)
    exposed = {}
    for family in read_text(world.admin("GET", "/metrics").body.decode()):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                exposed[sample.name.removeprefix(PREFIX)] = ",".join(sample.labels)
    assert dict(listed) == exposed
