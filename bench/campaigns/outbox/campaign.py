"""The measurements, and the comparison of what was committed with what was heard."""

import asyncio
import random
import statistics
import time
from dataclasses import dataclass, field

from bench.campaigns.faults.listener import Listener
from bench.campaigns.outbox.ear import Ear
from bench.campaigns.outbox.system import WRITERS, System
from bench.campaigns.outbox.writer import IDENTIFIERS
from bench.rig.console import say
from bench.rig.processes import Process, wait_until

TRANSPORTS = ("websocket", "stream", "events", "poll")
ENDS_WITHIN = 90.0
"""Seconds after the last kill in which everything must be sent and heard."""
WRITE_WITHIN = 1200.0
"""Seconds in which the writers must have committed their rows. Each kill holds them up."""
CALM_PAUSE = 0.02
"""Mean seconds between two commits of a writer, while the delays are measured: about 150 rows a second in all."""


@dataclass
class Result:
    """The figures of a campaign. Rows are counted once, whoever of the listeners missed them."""

    rows: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    doubled: set[int] = field(default_factory=set)
    rolled_back: set[int] = field(default_factory=set)
    overtaken: int = 0
    gaps: int = 0
    dead: int = 0
    rows_a_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0

    def violations(self) -> list[str]:
        """Describe each broken promise."""
        found = {
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "of a rolled-back transaction": len(self.rolled_back),
            "overtaken": self.overtaken,
            "dead letters": self.dead,
            "gaps": self.gaps,
        }
        return [f"{count} {what}" for what, count in found.items() if count]

    def compare(self, changes: dict[int, tuple[int, str]], ear: Ear) -> None:
        """Compare what one listener heard with the changes: writer and identifier by the id of the push."""
        heard = ear.positions
        self.lost |= changes.keys() - heard.keys()
        self.rolled_back |= heard.keys() - changes.keys()
        self.doubled |= {row for row, positions in heard.items() if len(positions) > 1}
        self.gaps += ear.gaps
        for rows in ear.order.values():
            last: dict[int, int] = {}
            for row in rows:
                writer = changes.get(row, (-1, ""))[0]
                self.overtaken += row < last.get(writer, 0)
                last[writer] = row


class Campaign:
    """One run with a system that has started."""

    def __init__(self, system: System, rng: random.Random) -> None:
        self._system = system
        self._rng = rng
        self._ears = [Ear.on(f"listener-{transport}", IDENTIFIERS) for transport in TRANSPORTS]
        self._coming_back: set[str] = set()
        self.result = Result()

    async def run(self, calm: int, backlog: int, rows: int, kills: int, pause: float) -> Result:
        """Measure the delays of `calm` rows, then the speed at a `backlog`, then kill while `rows` are committed."""
        nodes = [node.address for node in self._system.nodes]
        async with asyncio.TaskGroup() as group:
            listening = [
                group.create_task(Listener(ear, transport, nodes, self._rng, lambda: None).listen())
                for ear, transport in zip(self._ears, TRANSPORTS, strict=True)
            ]
            await wait_until(self._all_joined, ENDS_WITHIN, "all listeners join")
            await self._measure_delays(calm)
            await self._measure_speed(calm, backlog)
            await self._kill(calm + backlog + rows, rows, kills, pause)
            await self._compare()
            for task in listening:
                task.cancel()
        return self.result

    async def _measure_delays(self, rows: int) -> None:
        await self._system.relays[0].launch()
        await self._write(rows, CALM_PAUSE)
        await self._wait_for_end()
        delays = sorted(delay for ear in self._ears for delay in ear.delays)
        if len(delays) > 1:
            cuts = statistics.quantiles(delays, n=100)
            self.result.p50, self.result.p99 = cuts[49], cuts[98]
        say(f"commit to listener: p50 {self.result.p50 * 1000:.1f} ms, p99 {self.result.p99 * 1000:.1f} ms")

    async def _measure_speed(self, before: int, rows: int) -> None:
        """Let rows pile up without a relay, and measure how fast they are sent."""
        await self._system.relays[0].end()
        await self._write(before + rows, 0.0)
        waiting = self._system.query("SELECT count(*) FROM cometify_outbox")[0][0]
        await self._system.relays[0].launch()
        first = await self._count_below(waiting)
        began = time.monotonic()
        await self._system.wait_for_empty_outbox(ENDS_WITHIN)
        self.result.rows_a_second = first / (time.monotonic() - began)
        say(f"{waiting} rows waited: {self.result.rows_a_second:.0f} rows a second")
        await self._wait_for_end()
        await self._system.relays[1].launch()

    async def _count_below(self, count: int) -> int:
        """Wait until the relay has begun. Returns the rows that are left then."""
        until = time.monotonic() + ENDS_WITHIN
        while time.monotonic() < until:
            left = self._system.query("SELECT count(*) FROM cometify_outbox")[0][0]
            if left < count:
                return left
            await asyncio.sleep(0.005)
        raise TimeoutError

    async def _kill(self, total: int, rows: int, kills: int, pause: float) -> None:
        system = self._system
        await system.start_writers(total // WRITERS, kills * pause * WRITERS / max(rows, 1))
        victims: list[Process] = [*system.writers, *system.relays, *system.nodes, system.redis, system.postgres]
        async with asyncio.TaskGroup() as group:
            for number in range(kills):
                await asyncio.sleep(self._rng.expovariate(1 / pause))
                # A writer that has committed its rows is over.
                ready = [one for one in victims if one.is_running and one.name not in self._coming_back]
                if not ready:
                    continue
                victim = self._rng.choice(ready)
                name = victim.name.rstrip("0123456789")
                self.result.kills[name] = self.result.kills.get(name, 0) + 1
                self._coming_back.add(victim.name)
                group.create_task(self._kill_one(victim))
                if number % 20 == 19:
                    say(f"{number + 1} kills: {self.result.kills}")
        await wait_until(self._writers_ended, WRITE_WITHIN, "the writers commit their rows")
        await self._wait_for_end()

    async def _kill_one(self, victim: Process) -> None:
        await self._system.kill(victim)
        self._coming_back.discard(victim.name)

    async def _write(self, total: int, pause: float) -> None:
        """Commit rows until there are so many."""
        await self._system.start_writers(total // WRITERS, pause)
        await wait_until(self._writers_ended, WRITE_WITHIN, "the writers commit their rows")

    async def _wait_for_end(self) -> None:
        """Wait until all rows are sent and heard."""
        await self._system.wait_for_empty_outbox(ENDS_WITHIN)
        changes = {row for (row,) in self._system.query("SELECT id FROM changes")}

        async def heard() -> bool:
            return all(ear.positions.keys() >= changes for ear in self._ears)

        try:
            await wait_until(heard, 20, "the listeners hear all rows")
        except Exception as reason:  # noqa: BLE001 - the comparison counts what is missing
            say(str(reason))

    async def _compare(self) -> None:
        found = self._system.query("SELECT id, writer, identifier FROM changes")
        changes = {row: (writer, str(identifier)) for row, writer, identifier in found}
        self.result.rows = len(changes)
        ((self.result.dead,),) = self._system.query("SELECT count(*) FROM cometify_outbox WHERE dead_at IS NOT NULL")
        for ear in self._ears:
            self.result.compare(changes, ear)

    async def _all_joined(self) -> bool:
        return all(ear.has_joined for ear in self._ears)

    async def _writers_ended(self) -> bool:
        return not any(writer.is_running for writer in self._system.writers) and not self._coming_back
