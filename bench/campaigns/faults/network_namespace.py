"""A network namespace for one node. A pair of interfaces joins it to the machine, and Redis can be cut off in it."""

import asyncio
import random

from bench.rig.processes import NotReady

_RNG = random.Random()


class NetworkNamespace:
    """A network namespace. `host` is its own address, `outside` is the address at which it reaches the machine."""

    def __init__(self) -> None:
        number = _RNG.randrange(1 << 14)
        net = f"10.213.{number >> 6}.{(number & 63) << 2}".rsplit(".", 1)
        self.name = f"cometify{number}"
        self.outside, self.host = (f"{net[0]}.{int(net[1]) + last}" for last in (1, 2))
        self.prefix = ("ip", "netns", "exec", self.name)
        self._links = f"cmf{number}a", f"cmf{number}b"

    async def make(self) -> None:
        """Make the namespace. Needs root. Raises NotReady with what is missing."""
        here, there = self._links
        await _run("ip", "netns", "add", self.name)
        await _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
        await _run("ip", "address", "add", f"{self.outside}/30", "dev", here)
        await _run("ip", "link", "set", here, "up")
        await _run("ip", "-n", self.name, "address", "add", f"{self.host}/30", "dev", there)
        await _run("ip", "-n", self.name, "link", "set", there, "up")
        await _run("ip", "-n", self.name, "link", "set", "lo", "up")

    async def cut(self, port: int) -> None:
        """Drop every packet to and from this port of the machine. Neither side is told."""
        await self._filter("-A", "OUTPUT", "--dport", port)
        await self._filter("-A", "INPUT", "--sport", port)

    async def mend(self, port: int) -> None:
        """Undo the cut."""
        await self._filter("-D", "OUTPUT", "--dport", port)
        await self._filter("-D", "INPUT", "--sport", port)

    async def _filter(self, change: str, chain: str, end: str, port: int) -> None:
        rule = (chain, "-p", "tcp", end, str(port), "-j", "DROP")
        await _run(*self.prefix, "iptables", "-w", change, *rule)

    async def remove(self) -> None:
        """Remove the namespace. No process may run in it any longer."""
        await _run("ip", "netns", "delete", self.name)


async def _run(*command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise NotReady(f"{command[0]} is missing: on Debian, apt-get install iproute2 iptables") from None
    _, said = await process.communicate()
    if process.returncode:
        raise NotReady(f"{' '.join(command)}: {said.decode().strip()} (only root can make networks)")
