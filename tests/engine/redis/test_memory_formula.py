"""The bytes that docs/redis.md counts for maxmemory, held against a real Redis."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cometify.core.floors import MOST_FLOORS
from cometify.engine.redis.scripts import APPEND, TAKE_SLOT, Script
from tests.redis import RedisConnection, RedisServer

DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
TOLD = {
    name: int(number) for name, number in re.findall(r"^\| `(\w+)`: .* \| (\d+) \|$", DOCS.read_text(), re.MULTILINE)
}
NAME = "cometify:{site}"
MANY = 4000


class Measured:
    """A Redis that tells what each of many steps costs."""

    def __init__(self, redis: RedisServer) -> None:
        self.redis = RedisConnection(redis.path)
        self._last = 0
        self.push("warm", "x", "f" * 32)
        self.push("warm", "x", key="f" * 36)
        self.frame = 0

    def used(self) -> int:
        found = re.search(rb"used_memory:(\d+)", self.redis.command("INFO", "memory"))
        assert found is not None
        return int(found[1])

    def bytes_each(self, step: Callable[[int], None]) -> float:
        before = self.used()
        for number in range(MANY):
            step(number)
        return (self.used() - before) / MANY

    def run(self, script: Script, *arguments: object) -> Any:
        answer = self.redis.command("EVAL", script.source, 1, NAME, *arguments)
        assert not isinstance(answer, Exception), answer
        return answer

    def push(self, identifier: str, text: str, signature: str = "", key: str = "") -> None:
        head = f'{{"type":"push","identifier":"{identifier}","push_id":null,"text":"{text}","position":'
        self.frame = len(head) + 17
        letters, more = ("s", [signature]) if signature else ("kfl", [key, "f" * 32, 0]) if key else ("", [])
        (self._last,) = self.run(
            APPEND, 0, self._last, 1000, 1 << 22, 1 << 28, "cometify:0:", 10**6, 0, 0, 0, 10**6, MOST_FLOORS,
            identifier, f"0 - {head}", letters, *more,
        )  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    redis = RedisServer(tmp_path_factory.mktemp("formula")).start()
    measured = Measured(redis)
    yield measured
    measured.redis.close()
    redis.stop()


def test_docs_count_no_less_than_redis_takes(measured):
    text = "x" * 100
    found = {}
    each = measured.bytes_each(lambda number: measured.push(f"few{number % 20}", text))
    found["push"] = each - measured.frame
    signed = measured.bytes_each(lambda number: measured.push(f"signed{number % 20}", text, f"{number:032x}"))
    found["signature"] = signed - each
    keyed = measured.bytes_each(lambda number: measured.push(f"keyed{number % 20}", text, key=f"{number:036}"))
    found["key"] = keyed - each
    own = measured.bytes_each(lambda number: measured.push(f"order_{number:07}", text))
    found["identifier"] = own - each
    measured.redis.command(
        "DEL", *measured.redis.command("KEYS", f"{NAME}:public:*"), f"{NAME}:oldest:public", f"{NAME}:names"
    )
    before, infos = measured.used(), measured.redis.command("KEYS", f"{NAME}:info:*")
    measured.redis.command("DEL", *infos, f"{NAME}:floors:public")
    found["quiet"] = (before - measured.used()) / len(infos)
    found["listener"] = measured.bytes_each(
        lambda number: measured.run(
            TAKE_SLOT, f"10.0.0.{number // 20}", f"{number:016}", "node", 1000, "cometify:0:node:", "site", "", 0
        )
    )
    assert set(found) == set(TOLD)
    # The formula adds a half for tables that have just grown. No item may need more than that.
    assert not {name: (round(value), TOLD[name]) for name, value in found.items() if value > 1.5 * TOLD[name]}
    assert 0.5 * sum(TOLD.values()) < sum(found.values()) <= 1.2 * sum(TOLD.values())
