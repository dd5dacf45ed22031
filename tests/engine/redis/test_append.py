"""The script of a push, against a real Redis: several pushes in one script are the same as one after the other."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cometify.engine.redis.announcements import read_announced
from cometify.engine.redis.scripts import APPEND
from tests.redis import RedisConnection, RedisServer

NAME = "cometify:{site}"
START = 1_764_000_000_000_000
SECOND = 1_000_000
ends = count()


@attrs.frozen
class Limits:
    """The arguments that all pushes of a script share."""

    buffer_pushes: int = 1000
    buffer_bytes: int = 1 << 22
    keep_bytes: int = 1 << 28
    signature_memory: int = 1000
    waits: int = 0
    rate: int = 0
    burst: int = 0
    request_memory: int = 1000
    floors: int = 1000


@attrs.frozen
class Pushed:
    """A push as the script gets it."""

    identifier: str = "a"
    text: str = "x"
    secret: int = 0
    excluded: bool = False
    signature: str = ""
    spelled: str = ""
    key: str = ""
    fingerprint: str = "f"
    nonce: str = ""
    cost: int = 1

    def arguments(self) -> list[object]:
        excluded = '"except":"me",' if self.excluded else ""
        head = f'{{{excluded}"type":"push","identifier":"{self.identifier}","push_id":null,"text":"{self.text}","position":'
        found: list[object] = []
        letters = ""
        for letter, value in (("s", self.signature), ("i", self.spelled), ("n", self.nonce)):
            if value:
                letters += letter
                found.append(value)
        if self.cost != 1:
            letters += "c"
            found.append(self.cost)
        if self.key:
            letters += "kfl"
            found += [self.key, self.fingerprint, 7]
        return [self.identifier, f"{self.secret} - {head}", letters, *found]


class Keys:
    """The keys of one account in a database of their own, and what is published for them. `clock`: see `RedisServer`."""

    def __init__(self, redis: RedisServer, database: int, *channels: str) -> None:
        self.server, self.clock = redis, redis.clock
        self.prefix = f"cometify:{database}:"
        self.redis, self.subscriber = RedisConnection(redis.path), RedisConnection(redis.path)
        self.command("SELECT", database)
        self.channels = [f"{self.prefix}{{site}}:{name}" for name in ("a", "b", "c")]
        names = [*self.channels, *(self.prefix + name for name in channels)]
        self.subscriber.command("SUBSCRIBE", *names)
        for _ in names[1:]:
            self.subscriber.reply()

    def close(self) -> None:
        self.redis.close()
        self.subscriber.close()

    def command(self, *arguments: object) -> Any:
        answer = self.redis.command(*arguments)
        assert not isinstance(answer, Exception), answer
        return answer

    def push(self, limits: Limits, *pushes: Pushed, highest: int = 0, last_known: int = 0) -> list[Any]:
        """Push in one script. Returns its answers."""
        more = [argument for push in pushes for argument in push.arguments()]
        shared = [highest, last_known, limits.buffer_pushes, limits.buffer_bytes, limits.keep_bytes, self.prefix]
        shared += [
            limits.signature_memory,
            limits.waits,
            limits.rate,
            limits.burst,
            limits.request_memory,
            limits.floors,
        ]
        return self.command("EVAL", APPEND.source, 1, NAME, *shared, *more)

    def messages(self) -> list[tuple[str, bytes]]:
        """What was published since the last call: the channel without its prefix, and the text."""
        end = f"end {next(ends)}"
        self.command("PUBLISH", self.channels[0], end)
        found = []
        while (reply := self.subscriber.reply())[2] != end.encode():
            found.append((reply[1].decode().removeprefix(self.prefix), reply[2]))
        return [message for message in found if not message[1].startswith(b"end")]

    def heard(self) -> list[tuple[object, ...]]:
        """The pushes that were published since the last call, in their order."""
        heard: list[tuple[object, ...]] = []
        for channel, text in self.messages():
            began, announced = read_announced(channel, text)
            heard += [(began, before, channel, push.position, push.secret, push.frame) for before, push in announced]
        return heard

    def all(self) -> dict[str, tuple[Any, int]]:
        """Everything that is kept: the value of each key, and its time to live."""
        readers = {
            b"string": lambda key: self.command("GET", key),
            b"list": lambda key: [
                entry.removeprefix(self.prefix.encode()) for entry in self.command("LRANGE", key, 0, -1)
            ],
            b"hash": lambda key: sorted(zip(*[iter(self.command("HGETALL", key))] * 2, strict=True)),
            b"zset": lambda key: self.command("ZRANGE", key, 0, -1, "WITHSCORES"),
        }
        found = {}
        for key in self.command("KEYS", "*"):
            found[key.decode()] = readers[self.command("TYPE", key)](key), self.command("TTL", key)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("append"), moved=True)
    assert server.clock is not None
    server.clock.set(START)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def both(server: RedisServer) -> Iterator[tuple[Keys, Keys]]:
    pair = Keys(server, 0), Keys(server, 1)
    yield pair
    for keys in pair:
        keys.close()


@pytest.fixture
def keys(server: RedisServer) -> Iterator[Keys]:
    keys = Keys(server, 2, "nodes", "joined")
    yield keys
    keys.command("FLUSHDB")
    keys.close()


def contents(found: dict[str, tuple[Any, int]], kind: str) -> set[bytes]:
    return {entry for key, value in found.items() if key.startswith(f"{NAME}:{kind}:") for entry in value[0]}


SIGNATURES = [("", ""), ("", ""), ("s1", ""), ("s2", ""), ("s2", "A")]
PUSHES = st.builds(
    lambda signed, **fields: Pushed(signature=signed[0], spelled=signed[1] and fields["identifier"].upper(), **fields),
    st.sampled_from(SIGNATURES),
    identifier=st.sampled_from("aab"),
    text=st.sampled_from(["x", "y" * 40, "z" * 150]),
    secret=st.sampled_from([0, 0, 1]),
    excluded=st.sampled_from([False, False, True]),
    key=st.sampled_from(["", "", "", "k1", "k2"]),
    fingerprint=st.sampled_from(["f", "f", "g"]),
    nonce=st.sampled_from(["", "", "", "n1", "n2"]),
    cost=st.sampled_from([1, 1, 1, 0, 2]),
)
LIMITS = st.builds(
    Limits,
    buffer_pushes=st.sampled_from([1, 2, 1000]),
    buffer_bytes=st.sampled_from([100, 400, 1 << 22]),
    keep_bytes=st.sampled_from([300, 1 << 28, 1 << 28]),
    waits=st.sampled_from([0, 0, 1]),
    rate=st.sampled_from([0, 0, 1]),
    burst=st.just(4),
    request_memory=st.sampled_from([3, 1000]),
    floors=st.sampled_from([1, 1000]),
)
ROUNDS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2 * SECOND, 61 * SECOND, 601 * SECOND]), st.lists(PUSHES, min_size=1, max_size=7)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(LIMITS, ROUNDS)
def test_several_pushes_are_as_one_after_the_other(both, limits, rounds):
    together, apart = both
    for one in both:
        one.command("FLUSHDB")
        one.messages()
    now = START
    for passed, pushes in rounds:
        now += passed
        together.clock.set(now)
        answers = together.push(limits, *pushes)
        assert answers == [answer for push in pushes for answer in apart.push(limits, push)]
        heard = together.heard()
        first = 0 if limits.floors > 1 else 2
        assert [push[first:] for push in heard] == [push[first:] for push in apart.heard()]
        assert [push[3] for push in heard] == sorted(push[3] for push in heard)  # type: ignore[type-var]
    found, expected = together.all(), apart.all()
    if limits.floors == 1:
        # An identifier can be forgotten between two pushes, and not within a script. So fewer are, and those later.
        assert len(expected.get(f"{NAME}:floors:public", ((), 0))[0]) <= len(
            found.get(f"{NAME}:floors:public", ((), 0))[0]
        )
    elif limits.keep_bytes > 1000:
        assert {key: value for key, (value, _lives) in found.items()} == {
            key: value for key, (value, _lives) in expected.items()
        }
        # A key that is taken away between two pushes, and made again, lives a little longer.
        assert all(abs(found[key][1] - expected[key][1]) <= 62 for key in found)
    else:
        # One after the other can drop more, because a push that takes the place of a larger one comes too late for a third.
        for kind in ("public", "secret"):
            assert contents(found, kind) >= contents(expected, kind)
            kept = dict(found[f"{NAME}:state"][0]) if f"{NAME}:state" in found else {}
            assert int(kept.get(f"{kind}_bytes".encode(), 0)) <= limits.keep_bytes


def kinds(answers: Sequence[Any]) -> list[object]:
    """The kind of each answer: a push that is kept, or the word of a refusal."""
    return ["ok" if isinstance(answer, int) else answer[0].decode() for answer in answers]


def texts_of(keys: Keys) -> list[tuple[str, str]]:
    """The channel and the text of each push that was published since the last call."""
    return [(str(push[2]), json.loads(push[5])["text"]) for push in keys.heard()]  # type: ignore[arg-type]


MIXED = [
    Pushed("a", "1", signature="s1"), Pushed("b", "2", nonce="n1"), Pushed("a", "3", 1), Pushed("b", "4", key="k1"),
    Pushed("c", "5", signature="s2"), Pushed("a", "6"), Pushed("c", "7", 1), Pushed("b", "8", key="k1"),
]  # fmt: skip
BROKEN = [
    "state", "public:a", "secret:a", "info:a", "oldest:public", "oldest:secret", "s", "signed", "keyed", "nonces", "k:k1",
]  # fmt: skip


def push_beside(both: tuple[Keys, Keys], key: str) -> tuple[list[object], list[object]]:
    """Push the same in one script and one after the other, while one key has a value of another type."""
    together, apart = both
    for one in both:
        one.command("FLUSHDB")
        one.command("HSET" if key == "k:k1" else "SADD", f"{NAME}:{key}", "x", *["y"][: key == "k:k1"])
        one.messages()
    answers = together.push(Limits(), *MIXED)
    errors = [answer[1] for answer in answers if isinstance(answer, list) and answer[0] == b"error"]
    assert {words.split()[0] for words in errors} == {b"WRONGTYPE"}
    return kinds(answers), kinds([answer for push in MIXED for answer in apart.push(Limits(), push)])


@pytest.mark.parametrize("key", BROKEN)
def test_broken_key_fails_the_pushes_that_need_it_alone(both, key):
    found, expected = push_beside(both, key)
    assert found == expected
    assert "error" in found
    assert texts_of(both[0]) == texts_of(both[1])


@pytest.mark.parametrize("key", ["names", "floors:public", "unsaid"])
def test_no_push_is_acknowledged_that_fails_alone(both, key):
    """These keys are written once for several pushes, or after them. So a push may fail with another one, and says so."""
    found, expected = push_beside(both, key)
    assert [one for one, other in zip(found, expected, strict=True) if other == "error"] == ["error"] * expected.count(
        "error"
    )
    assert len(texts_of(both[0])) == found.count("ok")


def test_pushes_of_an_identifier_share_a_message(keys):
    keys.push(Limits(), Pushed("a", "1"), Pushed("a", "2", 1), Pushed("b", "3"), Pushed("a", "4"))
    assert [(channel[-1], text[:1]) for channel, text in keys.messages()] == [("a", b"*"), ("b", b"1"), ("a", b"1")]


def test_node_of_an_older_version_gets_single_pushes(keys):
    """It follows the channel of all nodes, and not the one of those that read several pushes at once."""
    old = Keys(keys.server, 2, "nodes")
    keys.push(Limits(), Pushed("a", "1"), Pushed("a", "2"), Pushed("a", "3"))
    assert [text[:1] for _channel, text in old.messages()] == [b"1"] * 3
    old.close()
    keys.messages()
    while keys.command("PUBSUB", "NUMSUB", f"{keys.prefix}nodes")[1] > 1:
        pass
    keys.push(Limits(), Pushed("a", "4"), Pushed("a", "5"))
    assert [text[:1] for _channel, text in keys.messages()] == [b"*"]


def test_list_of_unconfirmed_pushes_is_bounded_within_a_script(keys):
    keys.command("EVAL", "for i = 1, 9998 do redis.call('RPUSH', KEYS[1], 'c 1 1 1 0 - {') end", 1, f"{NAME}:unsaid")
    answers = keys.push(Limits(waits=1), *[Pushed("a", f"{number}") for number in range(4)])
    assert kinds(answers) == ["ok", "ok", "behind", "behind"]


def test_signatures_are_bounded_after_each_script(keys):
    limits = Limits(signature_memory=5)
    for first in range(0, 60, 4):
        keys.push(limits, *[Pushed("a", f"{number}", signature=f"s{number}") for number in range(first, first + 4)])
        assert keys.command("LLEN", f"{NAME}:signed") == keys.command("HLEN", f"{NAME}:s") <= 5
    assert set(keys.command("HKEYS", f"{NAME}:s")) == {f"s{number}".encode() for number in range(55, 60)}
    keys.clock.set(START + 10**10)
    keys.push(
        Limits(signature_memory=1000), Pushed("a", "late", signature="late"), Pushed("a", "later", signature="later")
    )
    assert set(keys.command("HKEYS", f"{NAME}:s")) == {b"late", b"later"}, "those that are ten minutes old go"


def test_key_of_a_push_that_failed_can_be_used_again(keys):
    keys.command("SET", f"{NAME}:public:a", "x")
    push = Pushed("a", "1", key="k1")
    assert kinds(keys.push(Limits(), push, Pushed("b", "2"), push)) == ["error", "ok", "error"]
    keys.command("DEL", f"{NAME}:public:a")
    assert kinds(keys.push(Limits(), push, push)) == ["ok", "again"]


def test_push_alone_in_its_script_takes_13_commands(keys):
    keys.push(Limits(), Pushed("a", "1", signature="s1"))
    keys.command("CONFIG", "RESETSTAT")
    keys.push(Limits(), Pushed("a", "2", signature="s2"))
    counts = re.findall(r"cmdstat_([a-z|]+):calls=(\d+)", keys.command("INFO", "commandstats").decode())
    assert sum(int(calls) for name, calls in counts if name not in ("eval", "config|resetstat", "info")) == 13


def test_script_has_no_constant_and_no_function_that_it_does_not_use():
    source = APPEND.source.decode()
    assert not re.findall(r"\b(?:KEPT|RECENTLY|MOST_DROPS)\b", source)
    functions = re.findall(r"^local function (\w+)", source, re.MULTILINE)
    assert "publish_confirmed" in functions
    assert "first_above" not in functions
    assert [name for name in functions if len(re.findall(rf"\b{name}\b", source)) < 2] == []
