"""The figures of one audience: the polls that reach the server for a push, and the time until everybody has it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.rig import load_generator

WARM_UP = 2
"""Pushes before the measured ones. After the first of them all listeners have one URL."""
MOST_POLLS = 2
"""Polls at the server for a push, behind a cache."""


@dataclass(frozen=True)
class Audience:
    """Listeners and pushes of one measurement. `per_second`: pushes in a second."""

    listeners: int
    pushes: int
    per_second: float


@dataclass(frozen=True)
class Target:
    """The ports of the cache and of the server behind it (the same without a cache), and its account and process."""

    port: int
    origin: int
    api_key: str
    api_secret: str
    pid: int


@dataclass(frozen=True)
class Figures:
    """Times in milliseconds. `polls`: at the server, for a push. `cpu_ms`: of the server, for a push."""

    listeners: int
    polls: float
    cpu_ms: float
    p50: float
    p99: float
    lost: int
    doubled: int

    def violations(self, name: str) -> list[str]:
        """Return what must not be behind a cache, in words."""
        found = []
        if self.polls > MOST_POLLS:
            found.append(f"{name}: {self.polls:.1f} polls at the server for a push")
        if self.lost or self.doubled:
            found.append(f"{name}: {self.lost} pushes were lost and {self.doubled} came twice")
        return found


async def measure(audience: Audience, target: Target, polls: Callable[[], Awaitable[int]]) -> Figures:
    """Let an audience listen through `target.port`. `polls()`: the polls that the server has had. Raises SystemExit."""
    await asyncio.to_thread(load_generator.build)
    path = f"/{target.api_key}/poll?identifiers=edge&position={{C1}}"
    arguments = [
        "--mode", "longpoll", "--port", str(target.port), "--path", path, "--capture", 'B:"position":',
        "-n", str(audience.listeners), "-m", str(audience.pushes), "-r", str(audience.per_second), "-s", "100",
        "--warmup", str(WARM_UP), "--settle", "500", "--drain", "10000", "--concurrency", "500", "--tell",
        "--pid", str(target.pid),
        "--pub-port", str(target.origin), "--pub-path", f"/{target.api_key}/push/edge",
        "--pub-enc", "url", "--pub-body", "identifier=edge&secret=0&text={P}",
        "--pub-cometify", f"{target.api_key}:{target.api_secret}:edge",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        load_generator.program_for(arguments),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    told = (await process.stderr.readline()).decode()  # the measured pushes begin
    before = await polls()
    output, errors = await process.communicate()
    answer, said = load_generator.read_answer(output.decode(), told + errors.decode(), process.returncode or 0)
    if not answer:
        raise SystemExit(f"the audience could not listen: {said}")
    return Figures(
        audience.listeners,
        (await polls() - before) / audience.pushes,
        answer["cpu_us_per_delivery"] * answer["delivered"] / audience.pushes / 1000,
        answer["lat_us"]["p50"] / 1000,
        answer["lat_us"]["p99"] / 1000,
        answer["lost"],
        answer["dup"],
    )


def table(figures: dict[str, Figures]) -> str:
    """The figures as a Markdown table. The first row is the one without a cache."""
    plain = next(iter(figures.values()))
    lines = [
        "| before the server | listeners | polls for a push | CPU for a push | p50 | p99 | added p99 | lost, doubled |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {name} | {one.listeners:,} | {one.polls:,.1f} | {one.cpu_ms:.2f} ms | {one.p50:.0f} ms | {one.p99:.0f} ms | "
        f"{one.p99 - plain.p99:.0f} ms | {one.lost}, {one.doubled} |"
        for name, one in figures.items()
    ]
    return "\n".join(lines)
