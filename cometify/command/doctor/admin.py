"""The admin endpoint of the server, with facts that nobody sees from outside."""

from collections.abc import AsyncIterator

import attrs
from prometheus_client.parser import text_string_to_metric_families

from cometify.command.doctor.findings import Finding, Status, failed
from cometify.command.requests import Answer, Requests
from cometify.command.troubles import Trouble

FEW_DESCRIPTORS = 4096
"""A lower limit is too low for a small server: each listener takes one, or two behind a proxy on the same machine."""
FULL = 0.8
_FAULTS = {
    "engine_unavailable": "redis_away",
    "redis_partly_away": "redis_away",
    "replicas_missing": "no_replicas",
    "draining": "draining",
}


@attrs.frozen
class Figures:
    """The sums of all series of each figure, over workers and labels."""

    sums: dict[str, float]

    @classmethod
    def read(cls, answer: Answer) -> "Figures":
        """Read the answer of /metrics. Raises `Trouble`."""
        if answer.status != 200:
            raise Trouble("no_admin", f"/metrics answers {answer.status}.")
        try:
            return cls(_sums(answer.body.decode()))
        except Exception:  # noqa: BLE001 - the parser does not say what it raises for a text that has no metrics
            raise Trouble("no_admin", "The answer of /metrics is none of Cometify's.") from None

    def __getitem__(self, name: str) -> float:
        return self.sums.get(name, 0)


def _sums(text: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name + "".join(f":{value}" for key, value in sample.labels.items() if key == "bound")
            sums[name] = sums.get(name, 0) + sample.value
    return sums


class AdminEndpoint:
    """`url`: of the endpoint. `requests`: any, because all take whole URLs."""

    def __init__(self, url: str, requests: Requests) -> None:
        self._url = url.rstrip("/")
        self._requests = requests

    async def figures(self) -> Figures:
        """The figures now. Raises `Trouble`."""
        try:
            return Figures.read(await self._requests.ask("GET", f"{self._url}/metrics"))
        except Trouble as trouble:
            raise Trouble("no_admin", trouble.detail) from None

    async def examine(self, before: Figures, joined: int) -> AsyncIterator[Finding]:
        """Yield the findings. `before`: the figures before `joined` listeners joined by way of the proxy."""
        yield await self._ready()
        try:
            now = await self.figures()
        except Trouble as trouble:
            yield failed("figures", trouble)
            return
        yield _of_descriptors(now)
        ignored = now["cometify_forwarded_ignored_total"] - before["cometify_forwarded_ignored_total"]
        if joined and ignored >= joined:
            detail = "The server ignores the addresses that a proxy tells: all visitors count as one."
            yield Finding("proxy", Status.FAILED, detail, "untrusted_proxy")
        elif joined:
            yield Finding("proxy", Status.OK, "No address that a proxy tells is ignored.")

    async def _ready(self) -> Finding:
        try:
            answer = await self._requests.ask("GET", f"{self._url}/health/ready")
        except Trouble as trouble:
            return failed("readiness", Trouble("no_admin", trouble.detail))
        health = answer.json
        reason = str(health.get("reason", "")) if isinstance(health, dict) else ""
        if answer.status == 200 and not reason:
            return Finding("readiness", Status.OK, "The server is ready.")
        detail = f"The server is not {'wholly ' if answer.status == 200 else ''}ready: {reason or answer.status}."
        return Finding("readiness", Status.FAILED, detail, _FAULTS.get(reason, "refused" if reason else "no_admin"))


def _of_descriptors(figures: Figures) -> Finding:
    most, opened = figures["process_max_fds"], figures["process_open_fds"]
    detail = f"{opened:.0f} of {most:.0f} file descriptors are open."
    refused = figures["cometify_connections_refused_total:file_descriptors"]
    if refused:
        detail += f" {refused:.0f} connections were refused because none was left."
    is_short = most < FEW_DESCRIPTORS or opened > FULL * most or refused > 0
    return Finding(
        "descriptors",
        Status.FAILED if is_short else Status.OK,
        detail,
        "few_descriptors" if is_short else "",
        {"open": opened, "limit": most},
    )
