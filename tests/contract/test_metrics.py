"""/metrics on the admin endpoint: each figure is compared with the events at listeners and publishers."""

import random
import re
from collections import Counter
from ipaddress import ip_network
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from cometify import __version__
from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.runtime.epoll_loop import LoopHooks
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    OPEN,
    TRANSPORTS,
    by_frame,
    by_query,
    code_of,
    fields,
    kinds,
    post,
    push_fields,
    texts,
)
from tests.memory import World
from tests.wire import FORM, Connection, eventually, form, request_bytes, secure, secure_key

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def read(text):
    """Every sample of an answer by its name, or by its name and the value of its one label."""
    found = {}
    for family in read_text(text):
        for sample in family.samples:
            key = (sample.name, *sample.labels.values()) if sample.labels else sample.name
            assert key not in found, "twice"
            found[key] = sample.value
    return found


def figures(world):
    answer = world.admin("GET", "/metrics")
    assert answer.status == 200
    return read(answer.body.decode())


class Since:
    """Return the increases since the last call."""

    def __init__(self, world):
        self.world = world
        self.before = figures(world)

    def __call__(self, *names):
        before, self.before = self.before, figures(self.world)
        grown = {key: value - before.get(key, 0) for key, value in self.before.items() if value != before.get(key, 0)}
        return {key: value for key, value in grown.items() if (key[0] if isinstance(key, tuple) else key) in names}


@pytest.fixture
def since(world):
    return Since(world)


# The format.


def test_default_is_prometheus_text_that_no_cache_keeps(world):
    answer = world.admin("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert read(answer.body.decode())[("cometify_build_info", __version__)] == 1


def test_openmetrics_is_sent_if_accept_names_it(world):
    prometheus = (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )
    answer = world.admin("GET", "/metrics", Accept=prometheus)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in read_openmetrics(answer.body.decode())}
    assert families["cometify_deliveries"].type == "counter"
    assert families["cometify_delivery_lag_seconds"].type == "histogram"


@pytest.mark.parametrize(
    "accept", ["*/*", "", "text/plain;version=1.0.0", "text/plain;version=x", "image/png", ";;,=,", "\xff"]
)
def test_any_other_accept_gets_plain_text(world, accept):
    answer = world.admin("GET", "/metrics", Accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


@pytest.mark.parametrize("version", ["x", "1.x", "2.0.0", "1.0.0é"])
def test_unknown_openmetrics_version_gets_version_1(world, version):
    answer = world.admin("GET", "/metrics", Accept=f"application/openmetrics-text;version={version}")
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_head_is_get_without_a_body(world):
    wire = world.connect_admin()
    wire.receive(request_bytes("HEAD", "/metrics"))
    status, headers = wire.head
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert int(headers["content-length"]) > 1000
    assert wire.body() == b""


def test_only_get_and_head_of_the_exact_path_are_served(world):
    refused = world.admin("POST", "/metrics")
    assert (code_of(refused), refused.headers["allow"]) == ("method_not_allowed", "GET, HEAD")
    for path in ("/metrics/", "/metrics/x", "/Metrics"):
        assert code_of(world.admin("GET", path)) == "not_found"
    assert world.admin("GET", "/metrics?name=x").status == 200


def test_strangers_have_no_metrics(world):
    assert code_of(world.request("GET", "/metrics").answer()) == "not_found"
    assert code_of(world.request("GET", f"/{API_KEY}/metrics").answer()) == "not_found"


# The names.


def test_names_units_kinds_and_helps_follow_promtool(world):
    """The rules of `promtool check metrics`."""
    labels = {"transport", "code", "bound", "version", "le", "state", "reason", "result"}
    seen = set()
    for family in read_text(world.admin("GET", "/metrics").body.decode()):
        if not family.name.startswith("cometify_"):
            assert family.name.startswith(("process_", "python_"))
            continue
        seen.add(family.name)
        assert re.fullmatch(r"cometify(_[a-z]+)+", family.name)
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "gauge", "histogram"}
        assert not re.search(r"_(ms|milli\w*|micro\w*|minutes|kb|mb|kilobytes|megabytes|percent)(_|$)", family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_" + family.type))
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_bytes"))
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")
            assert labels >= sample.labels.keys()
            assert len(sample.labels) <= 1
    assert len(seen) > 15


def test_docs_list_exactly_the_exposed_figures(world):
    # The metrics of accounts and those of workers have tests of their own.
    before, _, after = DOCS.read_text().partition("## Metrics of accounts")
    text = before + after.partition("## Alerts")[2]
    listed = re.findall(r"^\| `(cometify_\w+)", text, re.MULTILINE)
    exposed = [
        family.name + ("_total" if family.type == "counter" else "")
        for family in read_text(world.admin("GET", "/metrics").body.decode())
        if family.name.startswith("cometify_")
    ]
    assert sorted(listed) == sorted(exposed)
    samples = {key[0] if isinstance(key, tuple) else key for key in figures(world)}
    assert set(re.findall(r"\b(?:cometify|process)_[a-z_]+\b", text)) <= samples | set(exposed) | {
        "cometify_worker_deaths_total"
    }


def test_series_of_alerts_exist_from_the_start_with_zero(world):
    found = figures(world)
    for key in (
        ("cometify_listeners_ended_total", "too_slow"),
        ("cometify_listeners_refused_total", "too_many_listeners"),
        ("cometify_pushes_refused_total", "not_authorized"),
        ("cometify_disconnects_refused_total", "not_authorized"),
        ("cometify_lists_refused_total", "not_authorized"),
        *(("cometify_listeners", transport) for transport in TRANSPORTS),
        *(("cometify_listeners_joined_total", transport) for transport in TRANSPORTS),
    ):
        assert found[key] == 0


def test_metrics_tell_no_secret_and_no_choice_of_a_stranger():
    account = Account(API_KEY, (API_SECRET,), listeners_per_ip=2)
    world = World(account)
    key = secure_key("Guestbook")
    for transport in TRANSPORTS:
        by_query(world, transport, f"identifiers=Guestbook&secureKey={key}&listener=abcdef0123456789", host="10.9.8.7")
        by_query(world, transport, "identifiers=other", host="10.9.8.7")
        by_query(world, transport, "identifiers=stranger", key="unknownkey")
        by_query(world, transport, "identifiers=a!b")
    world.pushed("Guestbook", "the text", secret=1, push_id=987654321)
    world.push("Guestbook", "the text", key="unknownkey")
    world.request("BREW", f"/{API_KEY}/push/Guestbook").answer()
    text = world.admin("GET", "/metrics").body.decode().lower()
    hidden = (
        API_KEY, API_SECRET, key, secure("Guestbook", "the text"), "guestbook", "the text", "stranger", "unknownkey",
        "abcdef0123456789", "10.9.8.7", "987654321", "brew",
    )  # fmt: skip
    assert [word for word in hidden if word.lower() in text] == []


def test_two_servers_in_one_process_count_separately():
    one, two = World(), World()
    one.pushed("chat", "x")
    assert figures(one)["cometify_pushes_accepted_total"] == 1
    assert figures(two)["cometify_pushes_accepted_total"] == 0


# Pushes.


def test_pushes_are_counted_as_accepted_or_by_code(world, since):
    world.pushed("chat", "one")
    world.pushed("chat", "two", secret=1)
    world.push("chat", "x", key="unknown")
    world.push("chat", "x", key="unknown")
    world.push("a!b", "x")
    push_fields(world, "chat", fields("chat", "x" * 65_537))
    post(world, f"/{API_KEY}/push/chat", b"x" * (513 * 1024))
    post(world, f"/{API_KEY}/push/chat", b"", "image/png")
    world.request("GET", f"/{API_KEY}/push/chat").answer()
    assert since("cometify_pushes_accepted_total", "cometify_pushes_refused_total") == {
        "cometify_pushes_accepted_total": 2,
        ("cometify_pushes_refused_total", "not_authorized"): 2,
        ("cometify_pushes_refused_total", "invalid_identifier"): 1,
        ("cometify_pushes_refused_total", "text_too_long"): 1,
        ("cometify_pushes_refused_total", "body_too_large"): 1,
        ("cometify_pushes_refused_total", "unsupported_media_type"): 1,
        ("cometify_pushes_refused_total", "method_not_allowed"): 1,
    }


def test_refused_disconnects_are_counted_by_code(world, since):
    path, body = f"/{API_KEY}/disconnect", b'{"subject":"user_7"}'
    right, wrong = {"Authorization": f"Bearer {API_SECRET}"}, {"Authorization": "Bearer guessed"}
    for sent, headers in (
        (body, right),
        (body, wrong),
        (body, wrong),
        (b"{}", right),
        (b"x" * 5000, right),
        (body, {}),
    ):
        wire = world.connect("127.0.0.1")
        wire.receive(request_bytes("POST", path, sent, {"Content-Type": "application/json", **headers}))
        wire.answer()
    world.request("GET", path).answer()
    assert since("cometify_disconnects_refused_total", "cometify_pushes_refused_total") == {
        ("cometify_disconnects_refused_total", "not_authorized"): 2,
        ("cometify_disconnects_refused_total", "missing_parameter"): 2,
        ("cometify_disconnects_refused_total", "body_too_large"): 1,
        ("cometify_disconnects_refused_total", "method_not_allowed"): 1,
    }


def test_lists_are_counted_as_answered_or_by_code(world, since):
    right, wrong = {"Authorization": f"Bearer {API_SECRET}"}, {"Authorization": "Bearer guessed"}
    for path, headers in (
        ("", right),
        ("/chat", right),
        ("/chat/pushes", right),
        ("/chat", wrong),
        ("/a!b/pushes", right),
        ("?x=1", right),
        ("", {}),
    ):
        wire = world.connect("127.0.0.1")
        wire.receive(request_bytes("GET", f"/{API_KEY}/identifiers{path}", None, headers))
        wire.answer()
    world.request("BREW", f"/{API_KEY}/identifiers").answer()
    assert since(
        "cometify_lists_answered_total", "cometify_lists_refused_total", "cometify_disconnects_refused_total"
    ) == {
        "cometify_lists_answered_total": 3,
        ("cometify_lists_refused_total", "not_authorized"): 1,
        ("cometify_lists_refused_total", "invalid_identifier"): 1,
        ("cometify_lists_refused_total", "unknown_parameter"): 1,
        ("cometify_lists_refused_total", "missing_parameter"): 1,
        ("cometify_lists_refused_total", "method_not_allowed"): 1,
    }


@pytest.mark.memory("with Redis a node keeps what is listened to on it, and from the joining on")
def test_kept_pushes_and_bytes_are_exposed_until_they_expire():
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=2), Account("2", ("s",)))
    listener = world.stream("identifiers=chat&secureKey=" + secure_key("chat"))
    for number in range(5):
        world.pushed("chat", str(number), secret=number % 2)
    world.pushed("tweets", "é" * 100)
    body = form({"text": "x", "secret": "0", "secure": secure("chat", "x", "2", "s")})
    assert post(world, "/2/push/chat", body).status == 200
    found = figures(world)
    assert (found["cometify_kept_pushes"], found["cometify_identifiers_followed"]) == (6, 1)
    frames = [line for line in listener.body().splitlines() if b'"type":"push"' in line]
    other = (
        world.poll("identifiers=tweets:0").answer().frames + world.poll("identifiers=chat:0", key="2").answer().frames
    )
    sizes = [len(frame) for frame in frames[-4:]]  # two of each kind
    sizes += [len(b'{"type":"push","identifier":"tweets","push_id":null,"text":"","position":0123456789012345}') + 200]
    sizes += [len(b'{"type":"push","identifier":"chat","push_id":null,"text":"x","position":0123456789012345}')]
    assert len(texts(other)) == 2
    assert found["cometify_kept_bytes"] == sum(sizes)
    listener.lose()
    world.advance(660)
    found = figures(world)
    assert (found["cometify_kept_pushes"], found["cometify_kept_bytes"]) == (0, 0)
    assert found["cometify_identifiers_followed"] == 0


# Listeners.


def listening(world):
    found = figures(world)
    return {transport: found["cometify_listeners", transport] for transport in TRANSPORTS}


def test_joined_listeners_are_counted_by_transport(world, since):
    at = world.pushed("chat", "x")
    wires = [by_query(world, "websocket", "identifiers=chat") for _ in range(4)]
    wires += [by_query(world, "stream", "identifiers=chat") for _ in range(3)]
    wires += [by_query(world, "events", "identifiers=tweets") for _ in range(2)]
    wires += [world.connect()]
    wires[-1].receive(request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat", version="HTTP/1.0"))
    poll = world.poll(f"identifiers=chat&position={at}")
    assert listening(world) == {"websocket": 4, "stream": 4, "events": 2, "poll": 1}
    world.pushed("chat", "y")
    assert texts(poll.answer().frames) == ["y"]
    assert listening(world) == {"websocket": 4, "stream": 4, "events": 2, "poll": 0}
    for wire in wires:
        wire.lose()
    assert listening(world) == dict.fromkeys(TRANSPORTS, 0)
    joined = {("cometify_listeners_joined_total", transport): count for transport, count in
              {"websocket": 4, "stream": 4, "events": 2, "poll": 1}.items()}  # fmt: skip
    assert since("cometify_listeners_joined_total") == joined


@pytest.mark.parametrize("transport", OPEN)
def test_resumed_joins_are_counted_with_their_replays(world, since, transport):
    at = world.pushed("chat", "first")
    world.pushed("chat", "second")
    by_query(world, transport, "identifiers=chat")
    assert since("cometify_listeners_resumed_total", "cometify_replay_bytes_count") == {}
    by_query(world, transport, f"identifiers=chat&position={at}")
    by_query(world, transport, f"identifiers=tweets&position={at}")
    by_query(world, transport, "identifiers=chat:1")
    grown = since("cometify_listeners_resumed_total", "cometify_replay_bytes_bucket", "cometify_replay_bytes_sum")
    frame = len('{"type":"push","identifier":"chat","push_id":null,"text":"second","position":0123456789012345}')
    assert grown.pop("cometify_replay_bytes_sum") == 3 * frame - 1  # "first" is a letter shorter
    assert grown.pop(("cometify_listeners_resumed_total", transport)) == 2
    assert grown.pop(("cometify_replay_bytes_bucket", "0.0")) == 1
    assert set(grown.values()) == {3}


@pytest.mark.parametrize("transport", OPEN)
def test_duration_of_a_listener_is_observed_when_it_leaves(world, since, transport):
    name = "cometify_listener_duration_seconds"
    wires = [by_query(world, transport, "identifiers=chat") for _ in range(2)]
    world.advance(40)
    by_query(world, transport, "identifiers=a!b")
    assert since(f"{name}_count") == {}
    wires[0].lose()
    world.advance(160)
    wires[1].lose()
    grown = since(f"{name}_count", f"{name}_sum", f"{name}_bucket")
    assert (grown[f"{name}_count"], grown[f"{name}_sum"]) == (2, pytest.approx(240, abs=2))
    bounds = {key[1]: count for key, count in grown.items() if key[0] == f"{name}_bucket"}
    assert ("15.0" in bounds, bounds["60.0"], bounds["300.0"]) == (False, 1, 2)


def test_poll_is_no_resumed_join_and_has_no_duration(world, since):
    world.poll("identifiers=chat").lose()
    world.poll(f"identifiers=chat&position={world.clock()}").lose()
    names = (
        "cometify_listener_duration_seconds_count",
        "cometify_replay_bytes_count",
        "cometify_listeners_resumed_total",
    )
    assert since(*names) == {}


def test_later_listen_frame_is_not_another_join(world, since):
    wire = by_frame(world, "websocket", {"identifiers": ["chat"]})
    wire.listen({"identifiers": ["chat", "tweets"]})
    assert kinds(wire.frames()).count("ready") == 2
    assert since("cometify_listeners_joined_total") == {("cometify_listeners_joined_total", "websocket"): 1}


def test_websocket_without_listen_frame_is_not_a_listener(world, since):
    world.websocket()
    assert listening(world)["websocket"] == 0
    world.advance(11)
    assert since("cometify_listeners_refused_total", "cometify_listeners_ended_total") == {
        ("cometify_listeners_refused_total", "missing_parameter"): 1
    }


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_refused_joins_are_counted_once_by_code(transport):
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1, origins=("https://www.example.org",)))
    world.websocket("identifiers=chat")
    since = Since(world)
    by_query(world, transport, "identifiers=chat")
    by_query(world, transport, "identifiers=chat", key="unknown", host="10.0.0.2")
    by_query(world, transport, "identifiers=a!b", host="10.0.0.2")
    by_query(world, transport, "identifiers=chat", host="10.0.0.2", Origin="https://other.example")
    assert since("cometify_listeners_refused_total", "cometify_listeners_ended_total") == {
        ("cometify_listeners_refused_total", code): 1
        for code in ("too_many_listeners", "not_authorized", "invalid_identifier", "origin_not_allowed")
    }


def test_requests_refused_before_joining_are_counted_too(world, since):
    world.request("GET", f"/{API_KEY}/websocket?identifiers=chat").answer()
    world.request("PUT", f"/{API_KEY}/stream?identifiers=chat").answer()
    world.request("POST", f"/{API_KEY}/poll", b"x" * 20_000).answer()
    assert since("cometify_listeners_refused_total", "cometify_pushes_refused_total") == {
        ("cometify_listeners_refused_total", code): 1
        for code in ("upgrade_required", "method_not_allowed", "body_too_large")
    }


def test_ignored_forwarded_addresses_are_counted(engine):
    world = World(trusted_proxies=(ip_network("10.0.0.0/8"),))
    since = Since(world)
    for transport in TRANSPORTS:
        by_query(world, transport, "identifiers=chat", host="10.0.0.1", X_Forwarded_For="192.0.2.7")
        assert not since("cometify_forwarded_ignored_total")
        by_query(world, transport, "identifiers=chat", host="203.0.113.5", X_Forwarded_For="192.0.2.7")
        assert since("cometify_forwarded_ignored_total") == {"cometify_forwarded_ignored_total": 1}
        by_query(world, transport, "identifiers=chat", host="203.0.113.5")
        assert not since("cometify_forwarded_ignored_total")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ended_listeners_are_counted_by_code(world, transport):
    since = Since(world)
    query = f"identifiers=chat&position={world.clock()}"
    by_query(world, transport, query + "&listener=abcdef01")
    by_query(world, transport, query + "&listener=abcdef01")
    world.server.change_accounts(Settings((Account("other", ("s",)),)))
    assert since("cometify_listeners_refused_total", "cometify_listeners_ended_total") == {
        ("cometify_listeners_ended_total", "replaced"): 1,
        ("cometify_listeners_ended_total", "not_authorized"): 1,
    }


def test_refused_later_listen_counts_as_an_end(world, since):
    wire = by_frame(world, "websocket", {"identifiers": ["chat"]})
    wire.listen({"identifiers": []})
    assert since("cometify_listeners_refused_total", "cometify_listeners_ended_total") == {
        ("cometify_listeners_ended_total", "invalid_parameter"): 1
    }


@pytest.mark.parametrize("transport", OPEN)
def test_listener_is_stalled_until_it_reads_or_ends_as_too_slow(world, transport):
    since = Since(world)
    one, two = (by_query(world, transport, "identifiers=chat") for _ in range(2))
    for wire in (one, two):
        wire.transport.producer.pauseProducing()
    assert figures(world)["cometify_listeners_stalled"] == 2
    one.transport.producer.resumeProducing()
    world.settle()
    assert figures(world)["cometify_listeners_stalled"] == 1
    world.advance(70)
    assert figures(world)["cometify_listeners_stalled"] == 0
    assert since("cometify_listeners_ended_total") == {("cometify_listeners_ended_total", "too_slow"): 1}


# Deliveries.


@pytest.mark.parametrize("seed", range(12))
def test_deliveries_and_gaps_match_what_listeners_received(seed):
    chance = random.Random(seed)
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1000, buffer_pushes=10))
    before = figures(world)
    got = Counter()
    wires = []

    def join():
        name = chance.choice(["chat", "tweets", "chat,tweets", "chat:0", "chat:3,tweets:5"])
        key = chance.choice(["", f"&secureKey={secure_key(*[part.partition(':')[0] for part in name.split(',')])}"])
        position = chance.choice(["", "", f"&position={world.clock() - chance.choice([0, 10**6, 10**9])}"])
        wires.append(by_query(world, chance.choice(TRANSPORTS), f"identifiers={name}{key}{position}"))

    def pour():
        for _ in range(chance.choice([1, 1, 1, 5, 30])):
            push_id = chance.choice([None, None, chance.randrange(8)])
            world.pushed(
                chance.choice(["chat", "tweets"]), "x" * chance.choice([1, 1, 9000]), chance.randrange(2), push_id
            )

    def behave():
        wire = chance.choice(wires)
        if wire.transport.producer is not None and hasattr(wire.transport.producer, "state"):
            chance.choice([wire.transport.producer.pauseProducing, wire.transport.producer.resumeProducing])()

    for _ in range(60):
        chance.choice([join, pour, pour, behave])() if wires else join()
        world.advance(chance.choice([0.1, 1]))
    for wire in wires:
        if wire.answered:
            got.update(kinds(wire.frames()))
    found = figures(world)
    assert got["push"] > 50
    assert got["gap"] > 0
    for name, kind in (("deliveries", "push"), ("gaps", "gap")):
        assert found[f"cometify_{name}_total"] - before[f"cometify_{name}_total"] == got[kind]


def test_due_heartbeats_are_counted(world, since):
    wires = [by_query(world, transport, "identifiers=chat") for transport in OPEN]
    for wire in wires:
        assert kinds(wire.frames()) == ["ready", "heartbeat"]
    world.advance(80)
    sent_count = sum(kinds(wire.frames()).count("heartbeat") for wire in wires)
    assert sent_count == 9
    assert since("cometify_heartbeats_total", "cometify_deliveries_total") == {"cometify_heartbeats_total": sent_count}


def test_lag_is_observed_once_for_listeners_owed_the_same(world, since):
    count, total = "cometify_delivery_lag_seconds_count", "cometify_delivery_lag_seconds_sum"
    for _ in range(12):
        by_query(world, "websocket", "identifiers=chat")
        by_query(world, "stream", "identifiers=chat")
    world.pushed("chat", "x")
    world.pushed("nobody", "x")
    grown = since(count, total)
    assert grown[count] == 2
    assert 0 < grown[total] < 10


def test_delayed_reactor_shows_in_reactor_lag(world, since):
    world.reactor.advance(1)
    world.reactor.advance(3.2)
    assert since("cometify_reactor_lag_seconds_bucket") == {
        ("cometify_reactor_lag_seconds_bucket", bound): 2 if bound in {"2.5", "5.0", "10.0", "+Inf"} else 1
        for bound in ("0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
                      "1.0", "2.5", "5.0", "10.0", "+Inf")
    }  # fmt: skip


def test_longest_turn_is_told_for_a_minute(engine):
    turns = [0.25, 0.002]
    world = World(
        loop_hooks=LoopHooks(lambda _seconds, call: World.made[-1].reactor.callLater(0, call), None, turns.pop)
    )
    turns += [0.001] * 200 + [0.75] + [0.001] * 10
    world.advance(12)
    assert figures(world)["cometify_longest_turn_seconds"] == 0.75
    world.advance(61)
    assert figures(world)["cometify_longest_turn_seconds"] == 0.001


def test_redis_latency_has_each_answered_command(world, since, engine):
    world.pushed("chat", "x")
    grown = since("cometify_redis_latency_seconds_count", "cometify_redis_latency_seconds_sum")
    assert bool(grown) == (engine == "redis")


def test_stopped_server_has_no_timer_left(world):
    world.server.stopService()
    world.settle()
    assert world.reactor.getDelayedCalls() == []


# A server as users run it.


def test_real_server_exposes_its_process_and_a_stalled_listener(make_server):
    server = make_server()

    def look():
        answer = server.request("GET", "/metrics", port=server.admin_port)
        assert answer.status == 200
        return read(answer.body.decode())

    found = look()
    assert 10 * 2**20 < found["process_resident_memory_bytes"] < 2**30
    assert found["process_open_fds"] > 5
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_start_time_seconds"] > 1.7e9
    count = 60
    with (
        server.websocket("identifiers=chat", receive_buffer=4096) as slow,
        server.websocket("identifiers=chat") as quick,
        server.stream("identifiers=chat", path="events") as events,
        Connection(server.port) as publisher,
    ):
        for listener in (slow, quick, events):
            listener.joined()
        for number in range(count):
            text = f"{number:02}" + "x" * 16_000
            body = form({"text": text, "secret": "0", "secure": secure("chat", text)})
            publisher.send(request_bytes("POST", f"/{API_KEY}/push/chat", body, FORM))
            assert publisher.answer().status == 200
            assert quick.texts(1) == events.texts(1) == [text]
        found = look()
        assert found["cometify_listeners_stalled"] == 1
        assert 2 * count <= found["cometify_deliveries_total"] < 3 * count
        assert len(slow.texts(count)) == count
        eventually(lambda: look()["cometify_listeners_stalled"] == 0)
        found = look()
        assert found["cometify_deliveries_total"] == 3 * count
        assert found["cometify_pushes_accepted_total"] == count
        assert found["cometify_delivery_lag_seconds_count"] > 0
        assert (found["cometify_listeners", "websocket"], found["cometify_listeners", "events"]) == (2, 1)
