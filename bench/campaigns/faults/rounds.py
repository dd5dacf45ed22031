"""Rounds of the campaign: push and listen, inflict a fault, heal it, and check. One result for each fault."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.campaigns.faults.catalogue import FAULTS, Durations, Fault
from bench.campaigns.faults.checker import Findings
from bench.campaigns.faults.cluster import NAMES, Cluster, ClusterSettings
from bench.rig.processes import NotReady
from bench.rig.redis import RedisError

PUSHES_AROUND = 20
"""Pushes that are acknowledged before a fault, and again after it."""


@dataclass
class FaultResult:
    """The sums of all rounds of one fault. `violations` are in words."""

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
        """Add the findings of one round."""
        self.losses += len(findings.lost)
        self.doubles += len(findings.doubled)
        self.disorders += len(findings.disordered)
        self.gaps += len(findings.gaps)
        self.other += len(findings.other)
        self.deliveries += findings.received
        self.violations += [f"round {self.rounds}: {what}" for what in findings.violations(gaps_allowed=fault.loses)]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def play_round(cluster: Cluster, fault: Fault, durations: Durations, result: FaultResult) -> None:
    """Play one round and add it to the result. A fault that cannot be inflicted or healed is a violation."""
    began = time.monotonic()
    ledger = cluster.ledger
    ledger.slowest = 0.0
    before = dict(ledger.answers)
    connections = sum(one.connections for one in cluster.listeners)
    late = Findings()
    result.rounds += 1
    try:
        cluster.start_publishing()
        await cluster.wait_for_pushes(PUSHES_AROUND)
        await fault.inflict(cluster, durations)
        await cluster.wait_until_ready()
        await cluster.wait_for_pushes(PUSHES_AROUND)
    except (NotReady, RedisError, OSError, EOFError, AssertionError) as reason:
        late.other.append(f"{fault.name}: {reason or type(reason).__name__}")
    result.pushes += len(ledger.acknowledged) + len(NAMES)
    findings = await cluster.settle(gaps_allowed=fault.loses)
    findings.add(late)
    if ledger.slowest > durations.answer:
        findings.other.append(f"an answer took {ledger.slowest:.1f} s")
    result.add(findings, fault)
    result.retries += sum(count - before.get(kind, 0) for kind, count in ledger.answers.items() if kind != "200")
    result.connections += sum(one.connections for one in cluster.listeners) - connections
    result.slowest_answer = max(result.slowest_answer, ledger.slowest)
    result.seconds += time.monotonic() - began


def settings_for(kind: str, twistd: list[str], environment: Mapping[str, str], **more: Any) -> ClusterSettings:
    """The settings of a cluster for the faults of one kind."""
    special: dict[str, dict[str, Any]] = {
        "sentinel": {"sentinels": 3},
        "cluster": {"redis_cluster": True},
        "isolated": {"isolated": True},
        "clocks": {"offsets": (0, 0)},
        "uneven": {
            "sizes": {NAMES[0]: 60_000, NAMES[1]: 0, NAMES[2]: 3_000},
            "pause": 0.02,
            # The rings must drop no push before every listener has it, because a gap would be told rightly.
            "account": {"buffer_bytes": 200_000_000},
        },
    }
    return ClusterSettings(twistd, environment, **{**more, **special.get(kind, {})})


KINDS = tuple(dict.fromkeys(fault.cluster for fault in FAULTS))


async def run_kind(
    kind: str,
    settings: ClusterSettings,
    folder: Path,
    rounds: int,
    durations: Durations,
    report: Callable[[FaultResult], None],
    chosen: Sequence[str] = (),
) -> list[FaultResult]:
    """Play all rounds of the faults of one kind, by turns, on one cluster.

    `report` is called after each round. Raises NotReady if the cluster cannot be started.
    """
    faults = [fault for fault in FAULTS if fault.cluster == kind and (not chosen or fault.name in chosen)]
    results = [FaultResult(fault.name) for fault in faults]
    if not faults:
        return []
    async with Cluster(settings, folder, f"{kind} {rounds}") as cluster:
        for _ in range(rounds):
            for fault, result in zip(faults, results, strict=True):
                await play_round(cluster, fault, durations, result)
                report(result)
    results[-1].violations += cluster.log_problems()
    return results


async def run_all(
    twistd: list[str],
    environment: Mapping[str, str],
    folder: Path,
    rounds: int,
    durations: Durations,
    report: Callable[[FaultResult], None],
    chosen: Sequence[str] = (),
    **more: Any,
) -> list[FaultResult]:
    """Run the clusters of all kinds at once. A cluster that cannot be started gives a result with a violation."""

    async def run_one(kind: str) -> list[FaultResult]:
        place = folder / kind
        place.mkdir()
        settings = settings_for(kind, twistd, environment, **more)
        try:
            return await run_kind(kind, settings, place, rounds, durations, report, chosen)
        except (NotReady, AssertionError) as reason:
            return [FaultResult(kind, violations=[str(reason)])]

    return [result for results in await asyncio.gather(*map(run_one, KINDS)) for result in results]
