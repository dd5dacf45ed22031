"""Rounds: push and listen, inflict a fault, heal, and compare. What comes of it, by fault."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.campaigns.faults.catalogue import FAULTS, Fault, Lengths
from bench.campaigns.faults.checker import Findings
from bench.campaigns.faults.cluster import NAMES, Setting, World
from bench.rig.processes import NotReady
from bench.rig.redis import RedisError

CALM = 20
"""Pushes that are acknowledged before a fault, and after it."""
ANSWERS_WITHIN = 4.0
"""Seconds to an answer of whatever kind: two by the engine's promise, and as many for a machine that is busy."""


@dataclass
class Row:
    """What came of a fault over all its rounds. `violations`: in words."""

    fault: str
    rounds: int = 0
    pushes: int = 0
    deliveries: int = 0
    connections: int = 0
    retries: int = 0
    losses: int = 0
    doubles: int = 0
    disorders: int = 0
    gaps: int = 0
    other: int = 0
    slowest_answer: float = 0.0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def add(self, findings: Findings, fault: Fault) -> None:
        """A round more."""
        self.losses += len(findings.lost)
        self.doubles += len(findings.doubled)
        self.disorders += len(findings.disordered)
        self.gaps += len(findings.gaps)
        self.other += len(findings.other)
        self.deliveries += findings.got
        self.violations += [f"round {self.rounds}: {what}" for what in findings.wrong(gaps_allowed=fault.loses)]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def play(world: World, fault: Fault, lengths: Lengths, row: Row) -> None:
    """One round; the row is filled."""
    began = time.monotonic()
    ledger = world.ledger
    ledger.slowest = 0.0
    before = dict(ledger.answers)
    connections = sum(one.connections for one in world.listeners)
    late = Findings()
    row.rounds += 1
    try:
        world.publish()
        await world.pushed(CALM)
        await fault.inflict(world, lengths)
        await world.healed()
        await world.pushed(CALM)
    except (NotReady, RedisError, OSError, EOFError, AssertionError) as reason:
        late.other.append(f"{fault.name}: {reason or type(reason).__name__}")
    row.pushes += len(ledger.acknowledged) + len(NAMES)
    findings = await world.settle(gaps_allowed=fault.loses)
    findings.add(late)
    if ledger.slowest > ANSWERS_WITHIN:
        findings.other.append(f"an answer took {ledger.slowest:.1f} s")
    row.add(findings, fault)
    row.retries += sum(count - before.get(kind, 0) for kind, count in ledger.answers.items() if kind != "200")
    row.connections += sum(one.connections for one in world.listeners) - connections
    row.slowest_answer = max(row.slowest_answer, ledger.slowest)
    row.seconds += time.monotonic() - began


def setting_of(kind: str, twistd: list[str], environment: Mapping[str, str], **more: Any) -> Setting:
    """The world that faults of a kind are inflicted on."""
    special: dict[str, dict[str, Any]] = {
        "sentinel": {"sentinels": 3},
        "apart": {"apart": True},
        "clocks": {"offsets": (0, 0)},
        "uneven": {
            "sizes": {NAMES[0]: 60_000, NAMES[1]: 0, NAMES[2]: 3_000},
            "pause": 0.02,
            "account": {"buffer_bytes": 200_000_000},  # so that nothing is dropped before all have it
        },
    }
    return Setting(twistd, environment, **{**more, **special.get(kind, {})})


KINDS = tuple(dict.fromkeys(fault.world for fault in FAULTS))


async def run(
    kind: str,
    setting: Setting,
    folder: Path,
    rounds: int,
    lengths: Lengths,
    told: Callable[[Row], None],
    chosen: Sequence[str] = (),
) -> list[Row]:
    """All rounds of the faults of one kind of world, by turns; `told` of the row after each. Raises NotReady at once."""
    faults = [fault for fault in FAULTS if fault.world == kind and (not chosen or fault.name in chosen)]
    rows = [Row(fault.name) for fault in faults]
    if not faults:
        return []
    async with World(setting, folder, f"{kind} {rounds}") as world:
        for _ in range(rounds):
            for fault, row in zip(faults, rows, strict=True):
                await play(world, fault, lengths, row)
                told(row)
    rows[-1].violations += world.complaints()
    return rows


async def run_all(
    twistd: list[str],
    environment: Mapping[str, str],
    folder: Path,
    rounds: int,
    lengths: Lengths,
    told: Callable[[Row], None],
    chosen: Sequence[str] = (),
    **more: Any,
) -> list[Row]:
    """All kinds of worlds at once. What could not even be begun is a row with a violation."""

    async def one(kind: str) -> list[Row]:
        place = folder / kind
        place.mkdir()
        setting = setting_of(kind, twistd, environment, **more)
        try:
            return await run(kind, setting, place, rounds, lengths, told, chosen)
        except (NotReady, AssertionError) as reason:
            return [Row(kind, violations=[str(reason)])]

    return [row for rows in await asyncio.gather(*map(one, KINDS)) for row in rows]
