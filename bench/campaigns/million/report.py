"""The figures of a run in words, and those of all runs as a table in docs/million.md."""

import json
from typing import Any

from bench.campaigns.million.campaign import Measured
from bench.rig.folders import DOCS, OUT
from bench.rig.page_sections import fill_section

_COLUMNS = (
    "listeners, workers",
    "memory in all",
    "of a listener: process, kernel, Redis",
    "CPU of heartbeats",
    "all joined",
    "push to all: last, p50, p99",
    "all back after kill -9",
    "load",
)


def in_words(measured: Measured) -> str:
    """Everything that was measured, for the terminal."""
    number = max(1, measured.listeners)
    return f"""\
{measured.listeners:,} listeners, {measured.workers} workers, {measured.fewest:,} to {measured.most:,} descriptors of a worker
joined in {measured.joined_in:.1f} s, {measured.join_cpu / number * 1e6:.0f} us of the server's CPU each
memory of the server's side: {measured.server_side / 1e9:.2f} GB, {measured.base / 1e6:.0f} MB of it without listeners
memory of a listener: process {measured.server / number:,.0f}, Redis {measured.redis / number:,.0f}, \
kernel {measured.kernel / 2 / number:,.0f} bytes
memory of the machine: {measured.used / number:,.0f} bytes for each listener, the generator {measured.generator / number:,.0f}
rest: {measured.rest_cpu:.1%} of a core, Redis {measured.rest_redis_cpu:.1%}, {measured.beats:,.0f} heartbeats a second
push to all: last after {measured.fan_out:.2f} s, p50 {measured.p50:.0f} ms, p99 {measured.p99:.0f} ms, \
{measured.fan_out_cpu * 1e6:.1f} us of CPU for a delivery
kill -9: nine of ten back in {measured.back_90:.1f} s, all in {measured.back_in:.1f} s; {measured.away}
load {measured.load[0]:.1f} to {measured.load[1]:.1f}"""


def row(one: dict[str, Any]) -> str:
    """A row of the table."""
    number = one["listeners"]
    due = number / one["heartbeat"]
    has_rested = (
        one["beats"] > due / 2
    )  # a shorter rest than an interval sees the heartbeats of a part of the listeners
    rest = (
        f"{one['rest_cpu']:.1%}, {one['rest_cpu'] / one['beats'] * 1e6:.0f} µs each" if has_rested else "not measured"
    )
    late = [violation.partition(":")[0] for violation in one["violations"] if violation.endswith("all are back")]
    back = f"{one['back_in']:.0f} s" if one["back_in"] else "".join(late) or "not measured"
    return (
        f"| {number:,}, {one['workers']} | {one['server_side'] / 1e9:.2f} GB | "
        f"{one['server'] / number:,.0f}, {one['kernel'] / 2 / number:,.0f}, {one['redis'] / number:,.0f} bytes | "
        f"{rest} | {one['joined_in']:.0f} s | "
        f"{one['fan_out']:.2f} s, {one['p50'] / 1e3:.2f} s, {one['p99'] / 1e3:.2f} s | {back} | "
        f"{one['load'][0]:.0f} to {one['load'][1]:.0f} |"
    )


def write_page() -> None:
    """Write the results of all runs into docs/million.md."""
    results = [json.loads(path.read_text()) for path in OUT.glob("million-*.json")]
    results.sort(key=lambda result: (result["figures"]["listeners"], result["figures"]["workers"]))
    rows = [row(result["figures"]) for result in results]
    last = results[-1]
    head = [f"| {' | '.join(_COLUMNS)} |", "| --- " + "| ---: " * (len(_COLUMNS) - 1) + "|"]
    facts = "{processor}, {memory}, Linux {kernel}".format(**last["machine"]) + f", Cometify {last['cometify']}."
    page = DOCS / "million.md"
    page.write_text(fill_section(page.read_text(), "million", "\n".join([*head, *rows, "", facts])))
