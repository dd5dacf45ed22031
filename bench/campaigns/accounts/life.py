"""One life: an account is added, rotated, retired, suspended, resumed and removed. Each step is timed on all nodes."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench.campaigns.accounts.bystanders import ask
from bench.rig import wire
from bench.rig.node import HostPort

STEPS = ("added", "rotated", "retired", "suspended", "resumed", "removed")
GIVE_UP = 10.0
"""Seconds after which a step counts as never followed."""
LOOK_EVERY = 0.005


@dataclass
class Times:
    """Seconds from the request of a step until every node has followed, one for each life."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    faults: list[str] = field(default_factory=list)


@dataclass
class NodeAddress:
    """The two ports of a node."""

    public: HostPort
    admin: HostPort


class Life:
    """`nodes`: all of them. `first`: the number of the node that is asked first; each step asks the next one."""

    def __init__(self, api_key: str, nodes: Sequence[NodeAddress], first: int, times: Times) -> None:
        self._key = api_key
        self._nodes = nodes
        self._turn = first
        self._times = times

    async def live(self) -> None:
        """Live once."""
        first = (await self._step("added", "PUT", "", lambda told: self._accept([told["api_secret"]])))["api_secret"]
        told = await self._step("rotated", "POST", "/rotate", lambda told: self._accept([first, told["api_secret"]]))
        second = told["api_secret"]
        await self._step("retired", "POST", "/retire", lambda _told: self._refuse(first, "not_authorized"))
        listeners = [asyncio.ensure_future(self._listen(node)) for node in self._nodes]
        await asyncio.sleep(0.1)
        await self._step("suspended", "POST", "/suspend", lambda _told: self._refuse(second, "account_suspended"))
        codes = await asyncio.wait_for(asyncio.gather(*listeners), GIVE_UP)
        if set(codes) != {"account_suspended"}:
            self._times.faults.append(f"{self._key}: listeners were told {codes}")
        await self._step("resumed", "POST", "/resume", lambda _told: self._accept([second]))
        await self._step("removed", "DELETE", "", lambda _told: self._refuse(second, "not_authorized"))

    async def _step(self, step: str, method: str, action: str, followed: Callable[[Any], Any]) -> Any:
        node = self._nodes[self._turn % len(self._nodes)]
        self._turn += 1
        began = time.perf_counter()
        answer = await ask(node.admin, method, f"/accounts/{self._key}{action}")
        told = json.loads(answer.body)
        if answer.status not in (200, 201):
            raise AssertionError(f"{step}: {answer}")
        try:
            await asyncio.wait_for(followed(told), GIVE_UP)
        except TimeoutError:
            self._times.faults.append(f"{self._key}: not every node followed {step}")
        self._times.seconds[step].append(time.perf_counter() - began)
        return told

    async def _accept(self, secrets: Sequence[str]) -> None:
        """Wait until each node takes pushes with each secret."""
        await asyncio.gather(*[self._until(node, secret, "") for node in self._nodes for secret in secrets])

    async def _refuse(self, secret: str, code: str) -> None:
        """Wait until each node refuses pushes with this secret."""
        await asyncio.gather(*[self._until(node, secret, code) for node in self._nodes])

    async def _until(self, node: NodeAddress, secret: str, code: str) -> None:
        while True:
            answer = await ask(node.public, "POST", f"/{self._key}/push/news", {"text": "x", "secret": 0}, secret)
            if json.loads(answer.body).get("code", "") == code:
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _listen(self, node: NodeAddress) -> str:
        """Listen until the server ends it, and return the code that it tells."""
        reader, writer = await asyncio.open_connection(*node.public)
        code = "nothing"
        try:
            writer.write(wire.request("GET", f"/{self._key}/stream?identifiers=chat"))
            with suppress(EOFError, OSError):
                _status, headers = await wire.read_head(reader)
                async for part in wire.read_body(reader, headers):
                    for line in part.splitlines():
                        code = json.loads(line).get("code", code)
        finally:
            wire.close(writer)
        return code
