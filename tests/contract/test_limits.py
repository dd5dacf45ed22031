"""Section 5: listener ids, the 30 listeners of an address, the bounds of joining, and peers that do not read."""

import json
from ipaddress import ip_network

import pytest

from cometify.core.account import Account
from cometify.transports.websocket import MOST_PONGS
from cometify.websocket.frame_reader import PONG, control_frame
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    OPEN,
    TRANSPORTS,
    by_frame,
    by_query,
    gaps,
    kinds,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import client_frame


def limited(listeners: int = 30, **settings) -> World:
    return World(Account(API_KEY, (API_SECRET,), listeners_per_ip=listeners), **settings)


def is_in(wire) -> bool:
    return kinds(wire.frames())[0] == "ready"


# The listener id.


@pytest.mark.parametrize("transport", OPEN)
@pytest.mark.parametrize("next_transport", TRANSPORTS)
def test_a_new_connection_with_the_same_id_ends_the_old_one(world, transport, next_transport):
    query = "identifiers=chat&listener=9f2c51d07ab34e18"
    old = by_query(world, transport, query)
    old.frames()
    assert is_in(by_query(world, next_transport, query))
    frames = old.frames()
    assert frames[0]["type"] == "error"
    assert (frames[0]["code"], frames[0]["retry"]) == ("replaced", None)
    if transport == "websocket":
        assert frames[1] == {"type": "(close)", "code": 4000}
    else:
        assert len(kinds(frames)) == (1 if transport == "events" else 2)  # the last chunk shows in lines only
        assert old.transport.disconnecting


def test_a_waiting_poll_is_replaced_too(world):
    query = f"identifiers=chat&listener=9f2c51d07ab34e18&position={world.clock()}"
    old, new = world.poll(query), world.poll(query)
    assert refusal(old) == ("replaced", 409)
    assert not new.answered


def test_the_same_id_from_another_address_is_another_listener(world):
    query = "identifiers=chat&listener=9f2c51d07ab34e18"
    one, two = world.websocket(query, host="10.0.0.1"), world.websocket(query, host="10.0.0.2")
    one.frames(), two.frames()
    world.pushed("chat", "x")
    assert texts(one.frames()) == texts(two.frames()) == ["x"]


def test_the_same_id_in_another_account_is_another_listener():
    world = World(Account("1", ("s",)), Account("2", ("s",)))
    query = "identifiers=chat&listener=9f2c51d07ab34e18"
    one = world.websocket(query, key="1")
    assert is_in(one)
    assert is_in(world.websocket(query, key="2"))
    assert one.frames() == []


def test_the_id_may_come_in_a_frame(world):
    old = by_frame(world, "websocket", {"identifiers": "chat"}, listener="9f2c51d07ab34e18")
    old.frames()
    assert is_in(by_frame(world, "poll", {"identifiers": "chat"}, listener="9f2c51d07ab34e18"))
    assert refusal(old) == ("replaced", 4000)


# The 30.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_31st_is_refused_and_the_30_notice_nothing(world, transport):
    wires = [by_query(world, OPEN[number % 3], "identifiers=chat") for number in range(30)]
    assert all(is_in(wire) for wire in wires)
    late = by_query(world, transport, "identifiers=chat")
    if transport == "events":
        assert late.head[0] == 200
        body = late.body()
        retry, data = body.split(b"\n", 1)
        assert int(retry.removeprefix(b"retry: ")) >= 1000
        assert json.loads(data.removeprefix(b"data: "))["code"] == "too_many_listeners"
    else:
        if transport == "poll":
            assert int(late.head[1]["retry-after"]) >= 1
        assert refusal(late) == ("too_many_listeners", 4101 if transport == "websocket" else 429)
    assert [wire.frames() for wire in wires] == [[]] * 30
    world.pushed("chat", "x")
    assert [texts(wire.frames()) for wire in wires] == [["x"]] * 30
    assert is_in(by_query(world, transport, "identifiers=chat", host="10.0.0.2"))
    wires[7].lose()
    assert is_in(by_query(world, transport, "identifiers=chat"))


def test_the_30_are_each_accounts_own():
    world = World(Account("1", ("s",), listeners_per_ip=1), Account("2", ("s",), listeners_per_ip=2))
    assert is_in(world.websocket("identifiers=chat", key="1"))
    assert refusal(world.websocket("identifiers=chat", key="1")) == ("too_many_listeners", 4101)
    assert is_in(world.websocket("identifiers=chat", key="2"))
    assert is_in(world.websocket("identifiers=chat", key="2"))
    assert refusal(world.websocket("identifiers=chat", key="2")) == ("too_many_listeners", 4101)


def test_a_listener_that_comes_again_takes_its_old_place():
    world = limited(1)
    assert is_in(world.websocket("identifiers=chat&listener=9f2c51d07ab34e18"))
    for transport in TRANSPORTS:
        assert is_in(by_query(world, transport, "identifiers=chat&listener=9f2c51d07ab34e18"))
    assert refusal(world.websocket("identifiers=chat&listener=another-one")) == ("too_many_listeners", 4101)


@pytest.mark.parametrize("transport", OPEN)
def test_a_place_is_free_when_its_listener_is_gone(transport):
    world = limited(1)
    for _ in range(3):
        wire = by_query(world, transport, "identifiers=chat")
        assert is_in(wire)
        wire.lose()


def test_a_poller_stays_counted_10_s_between_two_polls():
    world = limited(1)
    query = "identifiers=chat&listener=9f2c51d07ab34e18"
    assert is_in(world.poll(query))
    world.advance(9)
    assert refusal(world.websocket("identifiers=chat")) == ("too_many_listeners", 4101)
    assert is_in(world.poll(query))
    world.advance(9)
    assert refusal(world.websocket("identifiers=chat")) == ("too_many_listeners", 4101)
    world.advance(1)
    assert is_in(world.websocket("identifiers=chat"))


def test_a_poller_counts_as_one_through_all_its_polls(world):
    others = [world.websocket("identifiers=chat") for _ in range(29)]
    assert all(is_in(wire) for wire in others)
    for _ in range(5):
        world.advance(1)
        poll = world.poll(f"identifiers=chat&listener=9f2c51d07ab34e18&position={world.clock()}")
        assert not poll.answered
        world.pushed("chat", "x")
        assert texts(poll.frames()) == ["x"]
        assert refusal(world.websocket("identifiers=chat")) == ("too_many_listeners", 4101)


def test_a_poller_that_hangs_up_stays_counted_10_s_too():
    world = limited(1)
    poll = world.poll(f"identifiers=chat&listener=9f2c51d07ab34e18&position={world.clock()}")
    poll.lose()
    assert refusal(world.websocket("identifiers=chat")) == ("too_many_listeners", 4101)
    world.advance(10)
    assert is_in(world.websocket("identifiers=chat"))


def test_a_refused_listener_has_no_place():
    world = limited(1)
    refusal(world.websocket("identifiers=1"))
    refusal(world.poll("identifiers=1"))
    assert is_in(world.websocket("identifiers=chat"))


# Addresses.


def test_an_ipv6_64_counts_as_one_address():
    world = limited(1)
    assert is_in(world.websocket("identifiers=chat", host="2001:db8:1:2::1"))
    refused = world.websocket("identifiers=chat", host="2001:db8:1:2:ffff::9")
    assert refusal(refused) == ("too_many_listeners", 4101)
    assert is_in(world.websocket("identifiers=chat", host="2001:db8:1:3::1"))


def test_an_ipv4_address_in_ipv6_is_the_ipv4_address():
    world = limited(1)
    assert is_in(world.websocket("identifiers=chat", host="::ffff:10.0.0.1"))
    assert refusal(world.websocket("identifiers=chat", host="10.0.0.1")) == ("too_many_listeners", 4101)
    assert is_in(world.websocket("identifiers=chat", host="::ffff:10.0.0.2"))


PROXIES = (ip_network("127.0.0.1"), ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "same_as"),
    [
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "192.0.2.1, 10.1.2.3", "192.0.2.1"),
        ("10.1.9.9", "192.0.2.1, 10.1.2.3, 127.0.0.1", "192.0.2.1"),
        ("10.1.9.9", "192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:10.1.9.9", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "[2a00::1]:443", "2a00::1"),
        ("127.0.0.1", "2a00::1", "2a00::2"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.2.0.1", "203.0.113.9", "10.2.0.1"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
    ],
)
def test_the_address_is_the_right_most_that_is_not_trusted(peer, forwarded, same_as):
    world = limited(1, trusted_proxies=PROXIES)
    target = f"/{API_KEY}/stream?identifiers=chat"
    assert is_in(world.request("GET", target, host=peer, X_Forwarded_For=forwarded))
    assert refusal(world.request("GET", target, host=same_as)) == ("too_many_listeners", 429)
    wire = world.websocket("identifiers=chat", host=peer, X_Forwarded_For=forwarded)
    assert refusal(wire) == ("too_many_listeners", 4101)
    assert is_in(world.request("GET", target, host="198.51.100.7"))


def test_several_headers_are_one_list():
    world = limited(1, trusted_proxies=PROXIES)
    wire = world.connect("127.0.0.1")
    wire.receive(
        f"GET /{API_KEY}/stream?identifiers=chat HTTP/1.1\r\nHost: x\r\n"
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.1, 10.1.0.1\r\n\r\n".encode()
    )
    assert is_in(wire)
    assert refusal(world.stream("identifiers=chat", host="192.0.2.1")) == ("too_many_listeners", 429)


# The bounds of joining.


def test_silent_websocket_is_ended_after_10_s(world):
    wire = world.websocket()
    world.advance(9)
    assert wire.frames() == []
    world.advance(1)
    code, close = refusal(wire)
    assert close // 100 == 40
    assert code in ("missing_parameter", "invalid_body")


def test_websocket_that_listens_in_time_stays(world):
    wire = world.websocket()
    world.advance(9)
    wire.listen({"identifiers": "chat"})
    assert is_in(wire)
    world.advance(20)
    assert "error" not in kinds(wire.frames())


def test_a_minute_later_there_are_60_more(world):
    wire = world.websocket()
    for _ in range(2):
        for _ in range(60):
            wire.listen({"identifiers": "chat"})
        world.advance(60)
    assert "error" not in kinds(wire.frames())


def many(prefix: str, count: int = 100) -> dict:
    return {"identifiers": [f"{prefix}{number}" for number in range(count)]}


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_new_identifiers_of_an_address_are_bounded(transport):
    world = limited(2)
    wire = by_frame(world, "websocket", many("a"))
    wire.listen(many("b"))
    wire.listen(many("a"))
    wire.listen(many("b"))
    assert kinds(wire.frames()) == ["ready", "heartbeat"] * 4
    late = by_frame(world, transport, {"identifiers": "one_more"})
    if transport == "websocket":
        error, close = late.frames()
        assert (error["code"], close["code"]) == ("too_many_listeners", 4101)
        assert 1 <= error["retry"] <= 60
    else:
        assert 1 <= int(late.head[1]["retry-after"]) <= 60
        assert refusal(late) == ("too_many_listeners", 429)
    assert is_in(by_frame(world, transport, {"identifiers": "a1"}))
    assert is_in(by_frame(world, transport, {"identifiers": "one_more"}, host="10.0.0.2"))
    wire.lose()
    world.advance(60)
    assert is_in(by_frame(world, transport, {"identifiers": "one_more_still"}))


def test_replay_bytes_of_an_address_are_bounded():
    world = limited(1)
    for number in range(60):
        world.pushed("chat", f"{number:05}" + "x" * 65_000)
    refused = None
    for count in range(40):
        wire = world.websocket("identifiers=chat:0")
        world.advance(0.1, step=0.05)
        frames = wire.frames()
        if frames[0]["type"] == "error":
            refused = frames[0], count
            break
        wire.lose()
    assert refused is not None
    error, count = refused
    assert error["code"] == "too_many_listeners"
    assert 1 <= error["retry"] <= 60
    assert count == 18  # 64 MiB of 60 texts of 65,005 bytes and their frames
    world.advance(61)
    assert is_in(world.websocket("identifiers=chat:0"))


def test_kept_pushes_that_a_join_looks_at_are_bounded():
    """A stranger can ask for what no push has. Each look takes time, although nothing is sent."""
    world = limited(1)
    for _ in range(1000):
        world.pushed("chat", "x", push_id=1)
    joins = 0
    while True:
        wire = world.websocket("identifiers=chat:2")
        frames = wire.frames()
        if frames[0]["type"] == "error":
            break
        wire.lose()
        joins += 1
        assert joins < 340, "64 MiB are 335 times 1,000 looks"
    assert frames[0]["code"] == "too_many_listeners"
    assert 1 <= frames[0]["retry"] <= 60
    assert joins > 150
    assert is_in(world.websocket("identifiers=news:2", host="10.0.0.2"))


# Peers that do not read.


@pytest.mark.parametrize("transport", OPEN)
def test_listener_that_reads_nothing_for_60_s_is_too_slow(world, transport):
    wire = by_query(world, transport, "identifiers=chat")
    wire.frames()
    wire.stop_reading()
    world.pushed("chat", "waits")
    world.advance(59)
    assert wire.frames() == []
    world.advance(3)
    wire.read_again()
    frames = wire.frames()
    assert frames[0]["code"] == "too_slow"
    assert frames[0]["retry"] is not None
    if transport == "websocket":
        assert frames[1]["code"] == 4103


def test_listener_that_does_not_read_its_end_is_cut(world):
    wire = world.websocket("identifiers=chat")
    wire.stop_reading()
    world.pushed("chat", "waits")
    world.advance(62)
    assert not wire.transport.aborted
    world.advance(11)
    assert wire.transport.aborted


def test_stalled_listener_gets_everything_once_it_reads(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.stop_reading()
    for number in range(50):
        world.pushed("chat", str(number))
    world.advance(50)
    assert wire.frames() == []
    wire.read_again()
    assert texts(wire.frames()) == [str(number) for number in range(50)]
    world.advance(100)
    assert "error" not in kinds(wire.frames())


def test_stalled_listener_is_told_a_gap_of_dropped_pushes():
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=3))
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.stop_reading()
    for number in range(5):
        world.pushed("chat", str(number))
    wire.read_again()
    frames = wire.frames()
    assert kinds(frames)[:4] == ["gap", "push", "push", "push"]
    assert (gaps(frames), texts(frames)) == ([["chat"]], ["2", "3", "4"])


def test_lost_pushes_that_it_may_not_see_are_no_gap():
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=3))
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.stop_reading()
    for number in range(5):
        world.pushed("chat", str(number), secret=1)
    world.pushed("chat", "public")
    wire.read_again()
    frames = wire.frames()
    assert (gaps(frames), texts(frames)) == ([], ["public"])


def test_stalled_listener_does_not_hold_up_the_others(world):
    slow, quick = world.websocket("identifiers=chat"), world.websocket("identifiers=chat")
    slow.frames(), quick.frames()
    slow.transport.producer.pauseProducing()
    world.pushed("chat", "x")
    assert texts(quick.frames()) == ["x"]
    assert texts(slow.frames()) == []


def test_stalled_listener_gets_no_pong(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.stop_reading()
    for _ in range(100):
        wire.receive(client_frame(b"x" * 125, opcode=9))
    assert wire.body() == b""


def test_of_many_pings_in_one_read_the_last_are_answered(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    listen = wire.listen_frame({"identifiers": ["news"]})
    wire.receive(b"".join([client_frame(b"%d" % number, opcode=9) for number in range(10_000)]) + listen)
    frames = wire.body()
    pongs = b"".join([control_frame(PONG, b"%d" % number) for number in range(10_000 - MOST_PONGS, 10_000)])
    assert frames.startswith(pongs)
    assert b'"type":"ready"' in frames[len(pongs) :]


def test_few_pings_in_one_read_are_each_answered(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.receive(b"".join([client_frame(b"%d" % number, opcode=9) for number in range(MOST_PONGS)]))
    assert wire.body() == b"".join([control_frame(PONG, b"%d" % number) for number in range(MOST_PONGS)])


def test_stalled_listener_listens_again_once_it_reads(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.stop_reading()
    wire.listen({"identifiers": {"metrics": 0}})
    wire.listen({"identifiers": {"tweets": 0}})
    assert wire.frames() == []
    wire.read_again()
    assert kinds(wire.frames()) == ["ready", "ready", "heartbeat"]
