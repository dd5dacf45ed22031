"""A Redis Cluster of three masters on ports of their own, some with a replica. All calls block until they are done."""

import shutil
import signal
import subprocess
import time
from binascii import crc_hqx
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.rig.ports import free_ports
from bench.rig.processes import NotReady
from bench.rig.redis import PROGRAM, RedisError, Reply, command_now, info_now

MASTERS = 3
SLOTS = 16384
WITHIN = 30.0
"""Seconds for each step of a cluster."""


class ClusterNode:
    """A redis-server that is a node of a cluster. `node_id`: its name there.

    `certificates`: a folder with `cert.pem`, of localhost, and `key.pem`. With it all traffic of the cluster is over TLS, that
    with clients at `tls_port`, and the plain port is for the commands of this class alone.
    """

    def __init__(self, folder: Path, certificates: Path | None = None) -> None:
        self.port, self.bus, self.tls_port = free_ports(3)
        self.node_id = ""
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        program = shutil.which(PROGRAM)
        if program is None:
            raise NotReady(f"{PROGRAM} is missing: on Debian, apt-get install redis-server")
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": folder,
            "logfile": folder / "redis.log",
            "save": "",
            "appendonly": "yes",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
            "cluster-enabled": "yes",
            "cluster-port": self.bus,
            "cluster-node-timeout": 1000,
            "cluster-require-full-coverage": "no",
        }
        if certificates is not None:
            options |= {
                "tls-port": self.tls_port,
                "tls-cert-file": certificates / "cert.pem",
                "tls-key-file": certificates / "key.pem",
                "tls-ca-cert-file": certificates / "cert.pem",
                "tls-auth-clients": "no",
                "tls-cluster": "yes",
                "tls-replication": "yes",
                "cluster-announce-hostname": "localhost",
                "cluster-preferred-endpoint-type": "hostname",
            }
        self._command = [program, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        output = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=output, stderr=output)  # noqa: S603 - no shell
        wait(self._answers, "a node of the cluster answers")
        self.node_id = str(self.command("CLUSTER", "MYID"))

    def _answers(self) -> bool:
        with suppress(OSError, EOFError, RedisError):
            return self.command("PING") == "PONG"
        return False

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def command(self, *words: str | int) -> Reply:
        """Send one command. Raises RedisError, OSError or EOFError."""
        return command_now(self.port, *words)

    def is_in_sync(self) -> bool:
        """True if it is a replica that has all data of its master."""
        found = info_now(self.port, "replication")
        return found["role"] == "slave" and found["master_link_status"] == "up"

    def has_all_of(self, master: "ClusterNode") -> bool:
        """True if it is a replica that has all that its master has written."""
        own, others = info_now(self.port, "replication"), info_now(master.port, "replication")
        return own.get("slave_repl_offset") == others["master_repl_offset"]


class RedisCluster:
    """`masters`: as they are at the start. `replicas`: those of the first masters. `url`: the cluster as a setting.

    `certificates`: see `ClusterNode`.
    """

    def __init__(self, folder: Path, replicas: int = 1, certificates: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.masters = [ClusterNode(folder / f"master{number}", certificates) for number in range(MASTERS)]
        self.replicas = [ClusterNode(folder / f"replica{number}", certificates) for number in range(replicas)]
        self.nodes = [*self.masters, *self.replicas]
        if certificates is None:
            self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        else:
            hosts = ",".join(f"localhost:{node.tls_port}" for node in self.nodes)
            self.url = f"rediss+cluster://{hosts}?ca={certificates / 'cert.pem'}"

    def start(self) -> "RedisCluster":
        """Start all nodes, and wait until they are one cluster."""
        for node in self.nodes:
            node.start()
        bounds = [SLOTS * number // MASTERS for number in range(MASTERS + 1)]
        for number, master in enumerate(self.masters):
            master.command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            master.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus)
        wait(lambda: all(self._knows_all(node) for node in self.nodes), "all nodes of the cluster know each other")
        for replica, master in zip(self.replicas, self.masters, strict=False):
            replica.command("CLUSTER", "REPLICATE", master.node_id)
        wait(lambda: all(replica.is_in_sync() for replica in self.replicas), "the replicas have all data")
        wait(self.is_well, "the cluster is well")
        return self

    def _knows_all(self, node: ClusterNode) -> bool:
        known = str(node.command("CLUSTER", "NODES"))
        return known.count("\n") == len(self.nodes) and "handshake" not in known

    def is_well(self) -> bool:
        """True if each node knows a master for each slot, holds none for lost, and is in sync if it is a replica."""
        for node in self.nodes:
            told, known = str(node.command("CLUSTER", "INFO")), str(node.command("CLUSTER", "NODES"))
            masters = sum("master" in line.split()[2] for line in known.splitlines())
            if "cluster_state:ok" not in told or "fail" in known or masters != MASTERS:
                return False
            if "myself,slave" in known and not node.is_in_sync():
                return False
        return True

    def end(self) -> None:
        """Kill all processes."""
        for node in self.nodes:
            node.end()

    def slot_of(self, api_key: str) -> int:
        """The slot of an account."""
        return crc_hqx(api_key.encode(), 0) % SLOTS

    def master_of(self, api_key: str, asked: ClusterNode | None = None) -> ClusterNode:
        """The master of an account. `asked`: the node that is asked for it, by default any that answers."""
        slot = self.slot_of(api_key)
        rows = _slots_known_to(asked or self.nodes[-1])
        port = next(port for first, last, port in rows if first <= slot <= last)
        return next(node for node in self.nodes if node.port == port)

    def other_master(self, api_key: str) -> ClusterNode:
        """A master that does not have the slot of the account."""
        ports, own = {port for _first, _last, port in _slots_known_to(self.nodes[-1])}, self.master_of(api_key)
        return next(node for node in self.nodes if node.port in ports and node is not own)

    def replica_of(self, master: ClusterNode) -> ClusterNode:
        """The replica of a master."""
        lines: Any = master.command("CLUSTER", "REPLICAS", master.node_id)
        return next(node for node in self.nodes if str(lines[0]).startswith(node.node_id))

    def fail_over(self, api_key: str) -> None:
        """Have the replica of an account's master take over. Raises NotReady.

        It is asked again and again, because masters vote once in two seconds at most.
        """
        old = self.master_of(api_key)
        replica = self.replica_of(old)
        for _ in range(5):
            with suppress(RedisError):  # it has taken over by now
                replica.command("CLUSTER", "FAILOVER")
            with suppress(NotReady):
                wait(lambda: self.master_of(api_key) is not old, "a replica takes over", 3.0)
                break
        self.wait_for_another(api_key, old)

    def wait_for_another(self, api_key: str, old: ClusterNode) -> None:
        """Wait until the account has another master than this one. Raises NotReady."""
        others = [node for node in self.nodes if node is not old]
        wait(lambda: all(self.master_of(api_key, node) is not old for node in others), "a replica takes over")

    def wait_until_well(self) -> None:
        """Wait until each node has what it must have. Raises NotReady."""

        def is_well() -> bool:
            with suppress(RedisError):  # a replica that loads the data of its master
                return self.is_well()
            return False

        wait(is_well, "the cluster is well")

    # A slot that moves, as redis-cli moves it.

    def begin_to_move(self, api_key: str, target: ClusterNode) -> ClusterNode:
        """Begin to send the slot of an account to another master. Returns the one that has it."""
        slot, source = self.slot_of(api_key), self.master_of(api_key)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.node_id)
        return source

    def move_keys(self, api_key: str, source: ClusterNode, target: ClusterNode, most: int = 1000) -> int:
        """Send some keys of the slot. Returns their number."""
        keys = source.command("CLUSTER", "GETKEYSINSLOT", self.slot_of(api_key), most)
        assert isinstance(keys, list)
        if keys:
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *map(str, keys))
        return len(keys)

    def delete_keys(self, api_key: str, source: ClusterNode) -> None:
        """Delete the keys of the slot, as if it were given away without them."""
        keys = source.command("CLUSTER", "GETKEYSINSLOT", self.slot_of(api_key), 1000)
        assert isinstance(keys, list)
        source.command("DEL", *map(str, keys))

    def end_move(self, api_key: str, source: ClusterNode, target: ClusterNode) -> None:
        """Tell the masters that the slot has moved: first the one that has it now."""
        for node in (target, source):
            node.command("CLUSTER", "SETSLOT", self.slot_of(api_key), "NODE", target.node_id)
        wait(lambda: all(self.master_of(api_key, node) is target for node in self.nodes), "all nodes know of the move")


def _slots_known_to(node: ClusterNode) -> list[tuple[int, int, int]]:
    """Ranges of slots as a node knows them: the first one, the last one, and the port of their master."""
    rows: Any = node.command("CLUSTER", "SLOTS")
    return [(first, last, master[1]) for first, last, master, *_replicas in rows]


def wait(condition: Callable[[], bool], what: str, seconds: float = WITHIN) -> None:
    """Wait for a condition. Raises NotReady."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise NotReady(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)
