"""A whole server without a network, with a clock that only the test moves.

The world is replaced (reactor, sockets, time), nothing of the server's own. With `World.redis` the pushes are kept in a real
redis-server, whose clock the test moves too.
"""

import json
from typing import Any, ClassVar

from twisted.internet.testing import MemoryReactorClock

from cometify.app.server import Cometify
from cometify.config.redis_url import RedisURL
from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from cometify.http.site import Site
from cometify.runtime.epoll_loop import LoopHooks
from tests.fakes import Names
from tests.redis import RedisServer
from tests.sockets import SocketReactor
from tests.transports import BufferedTransport, EagerTransport
from tests.wire import API_KEY, API_SECRET, Answer, client_frame, form, inflated, jwt, request_bytes, secure

START = 1_764_000_000_000_000
LONGEST_STEP = 3.0
"""Seconds: after more in which it hears nothing, a node takes Redis for lost."""
HOURS = 4 * 3600.0
LONGEST_WHILE = 4000
"""Seconds: a day at every second takes too long with a real Redis."""


class World:
    """`advance` is how time passes. The engine's clock begins at START, in microseconds, the wall clock (Unix seconds) with
    it: `skew` and `wall_skew` are by how much each has been put forward since. `beside`: be another node of that one's
    Redis, at the same time.
    """

    redis: ClassVar[RedisServer | None] = None
    """Where the worlds that are made from now on keep their pushes, each in a database of its own."""
    eager: ClassVar[bool] = False
    """Whether the connections of the worlds that are made from now on have the transport of production."""
    made: ClassVar[list["World"]] = []

    def __init__(
        self,
        *accounts: Account,
        began: float = 3600.0,
        beside: "World | None" = None,
        loop_hooks: LoopHooks | None = None,
        **settings: Any,
    ) -> None:
        accounts = accounts or (Account(API_KEY, (API_SECRET,)),)
        self.skew = self._suspended = 0
        self.wall_skew = 0.0
        self.reactor: Any = MemoryReactorClock()
        if self.redis is not None:
            self.reactor = SocketReactor(self._tell_time)
            self.database = len(self.made) if beside is None else beside.database
            settings["redis"] = RedisURL(path=self.redis.path, database=self.database)
        self.names = self.reactor.nameResolver = Names()
        self.made.append(self)
        self.server = Cometify(Settings(accounts, **settings), self.reactor, self.clock, self.wall, loop_hooks)
        if beside is not None:
            self.reactor.rightNow, self._suspended = beside.reactor.rightNow, beside._suspended
        self.server.startService()
        if beside is not None:
            self.settle()
            return
        if self.redis is not None:
            self._begin(accounts)
        # Past everything that is told because the memory begins only now.
        self._pass(began)

    @classmethod
    def end_all(cls) -> None:
        """Nothing of the worlds that were made goes on."""
        for world in cls.made:
            if isinstance(world.reactor, SocketReactor):
                world.reactor.close()
        cls.made.clear()
        cls.redis = None
        cls.eager = False

    def _begin(self, accounts: tuple[Account, ...]) -> None:
        """The memory of an account begins in Redis right before the first push."""
        self.settle()
        self.skew = 1
        self._tell_time()
        for account in accounts:
            self.server.engine.append(account, Draft(Identifier.read("nobodys"), "", False, None, None))
        self.settle()
        self.skew = 0

    @property
    def lag(self) -> int:
        """Most microseconds by which the position of a heartbeat can be older than now."""
        return 0 if self.redis is None else 1_000_000

    def _tell_time(self) -> None:
        if self.redis is not None:
            assert self.redis.clock is not None
            self.redis.clock.set(self.clock())

    def clock(self) -> int:
        return START + round(self.reactor.seconds() * 1_000_000) + self._suspended + self.skew

    def wall(self) -> float:
        return START / 1_000_000 + self.reactor.seconds() + self._suspended / 1_000_000 + self.wall_skew

    def token(self, *names: str, lasts: float = 60, secret: str = API_SECRET) -> str:
        """A token for these names and prefixes, for so many seconds from now."""
        return jwt({"exp": self.wall() + lasts, "identifiers": names}, secret)

    def advance(self, seconds: float, step: float = 1.0) -> None:
        if self.redis is not None:
            step = LONGEST_STEP if seconds > 1000 else min(step, LONGEST_STEP)
            while seconds > LONGEST_WHILE:
                passed = min(seconds - 100, HOURS)
                self._pass(passed)
                self._step(LONGEST_STEP)
                seconds -= passed + LONGEST_STEP
        while seconds > 0:
            self._step(min(step, seconds))
            seconds -= step
        self.settle()

    def _step(self, seconds: float) -> None:
        self.reactor.advance(seconds)
        if self.redis is not None:
            self.settle()

    def _pass(self, seconds: float) -> None:
        """Let time pass in which nothing happens; with Redis as on a machine that was suspended."""
        if self.redis is None:
            self.reactor.advance(seconds)
        else:
            self._suspended += round(seconds * 1_000_000)
            self.settle()

    def drain(self) -> list[None]:
        """Begin to drain, and go on until nobody joins any longer. The list has an element once the drain is over."""
        ended: list[None] = []
        self.server.drain().addCallback(ended.append)
        while not self.server.membership.draining:
            self.advance(0.1)
        self.settle()
        return ended

    def settle(self) -> None:
        """Let everything happen that is due now."""
        self._turn(20)
        while self.redis is not None and self.reactor.pump():
            self._turn(5)

    def _turn(self, times: int) -> None:
        for _ in range(times):
            self.reactor.advance(0)
            for transport in list(self.reactor.writers):
                transport.turn()

    def connect(self, host: str = "10.0.0.1") -> "Wire":
        return Wire(self, host, self.server.http)

    def connect_admin(self) -> "Wire":
        return Wire(self, "127.0.0.1", self.server.admin)

    def admin(self, method: str, target: str, **headers: str) -> Answer:
        """Ask the admin endpoint."""
        wire = self.connect_admin()
        wire.receive(
            request_bytes(method, target, None, {name.replace("_", "-"): value for name, value in headers.items()})
        )
        return wire.answer()

    def request(
        self, method: str, target: str, body: bytes | None = None, host: str = "10.0.0.1", **headers: str
    ) -> "Wire":
        """Send a request. The answer is on the wire that is returned."""
        wire = self.connect(host)
        wire.receive(
            request_bytes(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        )
        return wire

    def push(
        self, identifier: str, text: str, secret: int = 0, push_id: int | None = None, key: str = API_KEY
    ) -> Answer:
        fields: dict[str, str | bytes] = {"text": text, "secret": str(secret), "secure": secure(identifier, text, key)}
        if push_id is not None:
            fields["push_id"] = str(push_id)
        wire = self.request(
            "POST", f"/{key}/push/{identifier}", form(fields), Content_Type="application/x-www-form-urlencoded"
        )
        return wire.answer()

    def pushed(self, identifier: str, text: str, secret: int = 0, push_id: int | None = None) -> int:
        answer = self.push(identifier, text, secret, push_id)
        assert answer.status == 200, answer
        return answer.json["position"]

    def stream(self, query: str, host: str = "10.0.0.1", key: str = API_KEY) -> "Wire":
        return self.request("GET", f"/{key}/stream?{query}", host=host)

    def poll(self, query: str, host: str = "10.0.0.1", key: str = API_KEY) -> "Wire":
        return self.request("GET", f"/{key}/poll?{query}", host=host)

    def listen(self, *groups: dict[str, Any], path: str = "stream", **more: Any) -> "Wire":
        body = json.dumps({"type": "listen", "groups": groups, **more}).encode()
        return self.request("POST", f"/{API_KEY}/{path}", body)

    def websocket(self, query: str = "", host: str = "10.0.0.1", key: str = API_KEY, **headers: str) -> "Wire":
        wire = self.request(
            "GET",
            f"/{key}/websocket" + (f"?{query}" if query else ""),
            host=host,
            Upgrade="websocket",
            Connection="Upgrade",
            Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
            Sec_WebSocket_Version="13",
            **headers,
        )
        wire.is_websocket = True
        return wire


class Wire:
    """The peer's end of one connection."""

    def __init__(self, world: World, host: str, site: Site) -> None:
        self.world = world
        self._protocol = site.buildProtocol(None)
        self.transport: Any
        if world.eager:
            self.transport = EagerTransport(host, self._protocol, world.reactor)
        else:
            self.transport = BufferedTransport(host)
            self.transport.protocol = self._protocol
        self._protocol.makeConnection(self.transport)
        self.is_websocket = False
        self.compressed = 0  # frames that came so
        self._head: tuple[int, dict[str, str]] | None = None
        self._data = b""

    def receive(self, data: bytes) -> None:
        """The peer sends. Nobody hears it if the server has closed the connection."""
        if self.transport.connected:
            self.transport.protocol.dataReceived(data)
        self.world.settle()

    def lose(self) -> None:
        """The peer is gone."""
        self.transport.lose()
        self.world.settle()

    def stop_reading(self) -> None:
        """The peer reads nothing until `read_again`."""
        self.transport.stop_reading()

    def read_one_write(self) -> None:
        """The peer reads the next write, and then nothing until `read_again`."""
        self.transport.read_one_write()

    def read_again(self) -> None:
        """The peer reads everything."""
        self.transport.read_again()
        self.world.settle()

    def listen(self, *groups: dict[str, Any], **more: Any) -> None:
        self.receive(self.listen_frame(*groups, **more))

    @staticmethod
    def listen_frame(*groups: dict[str, Any], **more: Any) -> bytes:
        """The bytes of a `listen` frame on a WebSocket."""
        return client_frame(json.dumps({"type": "listen", "groups": groups, **more}).encode())

    def _take(self) -> None:
        self._data += self.transport.value()
        self.transport.clear()

    @property
    def head(self) -> tuple[int, dict[str, str]]:
        self._take()
        if self._head is None:
            head, separator, self._data = self._data.partition(b"\r\n\r\n")
            assert separator, "nothing was answered yet"
            lines = head.decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            self._head = int(lines[0].split()[1]), headers
        return self._head

    @property
    def answered(self) -> bool:
        self._take()
        return self._head is not None or b"\r\n\r\n" in self._data

    def answer(self) -> Answer:
        status, headers = self.head
        self._take()
        body, self._data = self._data, b""
        assert len(body) == int(headers["content-length"])
        self._head = None
        return Answer(status, headers, body)

    def frames(self) -> list[dict[str, Any]]:
        """All frames that have come since the last look. A close frame becomes {"type": "(close)", "code": ...}."""
        _status, headers = self.head
        self._take()
        if self.is_websocket:
            return list(self._websocket_frames())
        data, self._data = self._data, b""
        if headers.get("transfer-encoding") == "chunked":
            data = self._dechunked(data)
        if "event-stream" in headers.get("content-type", ""):
            blocks = [block for block in data.decode().split("\n\n") if block]
            return [json.loads(line[6:]) for block in blocks for line in block.split("\n") if line.startswith("data: ")]
        return [json.loads(line) for line in data.splitlines()]

    def body(self) -> bytes:
        """The bytes behind the head that have come since the last look, as they are."""
        _status, headers = self.head
        self._take()
        data, self._data = self._data, b""
        if headers.get("transfer-encoding") == "chunked":
            data = self._dechunked(data)
        return data

    def _dechunked(self, data: bytes) -> bytes:
        whole = b""
        while data:
            size, _, data = data.partition(b"\r\n")
            length = int(size, 16)
            whole += data[:length]
            assert data[length : length + 2] == b"\r\n"
            data = data[length + 2 :]
            if length == 0:
                whole += b'{"type":"(end)"}\n'
        return whole

    def _websocket_frames(self) -> Any:
        while self._data:
            opcode, compressed, length, at = self._data[0] & 15, self._data[0] & 0x40, self._data[1], 2
            assert not compressed or "sec-websocket-extensions" in self.head[1]
            self.compressed += bool(compressed)
            if length >= 126:
                size = 2 if length == 126 else 8
                length = int.from_bytes(self._data[2 : 2 + size], "big")
                at += size
            payload, self._data = self._data[at : at + length], self._data[at + length :]
            if opcode == 1:
                yield json.loads(inflated(payload) if compressed else payload)
            elif opcode == 8:
                yield {"type": "(close)", "code": int.from_bytes(payload[:2], "big")}
            else:
                yield {"type": f"({opcode})", "data": payload}
