"""Several workers on one machine, as a user starts them: one port and one service, also while workers die."""

import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from bench.rig.ports import free_ports
from tests.certificates import make_certificate
from tests.conftest import PYTHONPATH, START_WITHIN, TWISTD, Redis, Server, assert_clean
from tests.contract.follower import follow_and_push
from tests.lag import SchedulingLag
from tests.wire import (
    API_KEY,
    API_SECRET,
    FORM,
    Closed,
    Connection,
    Stream,
    WebSocket,
    eventually,
    form,
    jwt,
    request_bytes,
    seal,
    secure,
)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are not over."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if alive(int(child))]


def alive(pid: int) -> bool:
    """True while the process runs. A zombie does not count, because a container may have nobody who collects it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def name_of(pid: int) -> str:
    """The name of a process, as `ps -o comm` shows it."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Workers(Server):
    """A server of several processes."""

    def start(self) -> "Workers":
        super().start()
        self.until_all_are_up()
        return self

    def until_all_are_up(self) -> None:
        """Wait until each worker has a process that answers."""
        eventually(lambda: self.figures("cometify_worker_up") == dict.fromkeys(self.numbers, 1), START_WITHIN)

    @property
    def numbers(self) -> list[str]:
        return [str(number + 1) for number in range(self.options["workers"])]

    def pids(self) -> list[int]:
        """Those of the workers, in the order of their start. The one that starts them is left out."""
        return [pid for pid in children(self.pid) if name_of(pid).startswith("cometify-")]

    def pid_of(self, number: str) -> int:
        """That of one worker, by its name."""
        for pid in self.pids():
            if name_of(pid) == f"cometify-{number}":
                return pid
        raise AssertionError(number)

    def starter(self) -> int:
        """That of the process that starts workers."""
        (pid,) = set(children(self.pid)) - set(self.pids())
        return pid

    def figures(self, name: str, **labels: str) -> dict[str, float]:
        """A figure of each worker by its number, summed over all other labels but these."""
        found: dict[str, float] = {}
        for family in read_text(self.request("GET", "/metrics", port=self.admin_port).body.decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels.items() >= labels.items():
                    number = sample.labels.get("worker", "")
                    found[number] = found.get(number, 0) + sample.value
        return found

    def logged(self, text: str) -> int:
        return self.log.read_text().count(text)

    def lines(self, text: str) -> list[str]:
        """The lines of the log with this text."""
        return [line for line in self.log.read_text().splitlines() if text in line]


@pytest.fixture(scope="module")
def start_workers(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Workers]]:
    """Start servers: start_workers(workers=3, heartbeat=1, ...)."""
    servers: list[Workers] = []

    def start(**options: Any) -> Workers:
        servers.append(Workers(tmp_path_factory.mktemp("workers"), {"drain": 2, "redis": redis.url, **options}, {}))
        return servers[-1].start()

    yield start
    for server in servers:
        if server.process is not None:
            server.stop()
        assert_clean(server.log.read_text())


@pytest.fixture(scope="module")
def three(start_workers: Callable[..., Workers], tmp_path_factory: pytest.TempPathFactory) -> Workers:
    """A server for the tests that leave it as it was."""
    return start_workers(workers=3, account_metrics=True, worker_timeout=0)  # some are stopped for a moment


def listeners(server: Workers, count: int, stack: ExitStack, name: str = "chat") -> list[WebSocket]:
    opened = [stack.enter_context(server.websocket(f"identifiers={name}")) for _ in range(count)]
    for listener in opened:
        listener.joined()
    return opened


def test_all_workers_serve_the_one_port(three):
    with ExitStack() as stack:
        listeners(three, 40, stack)
        shares = three.figures("cometify_listeners", transport="websocket")
        assert sorted(shares) == three.numbers
        assert sum(shares.values()) == 40
        assert min(shares.values()) > 0


def test_workers_deliver_in_one_order(three):
    with ExitStack() as stack:
        opened = listeners(three, 12, stack, "shared")
        assert min(three.figures("cometify_listeners", transport="websocket").values()) > 0
        positions = [three.pushed("shared", str(number)) for number in range(30)]  # each on a connection of its own
        assert positions == sorted(positions)
        for listener in opened:
            assert listener.texts(30) == [str(number) for number in range(30)]


def join_on_all(workers, stack, query):
    """Join with a dozen WebSockets, and with more while a worker has none, because a busy one gets fewer."""
    opened = []
    while len(opened) < 12 or (
        len(opened) < 28 and not all(workers.figures("cometify_listeners", transport="websocket").values())
    ):
        opened.append(stack.enter_context(workers.websocket(query)))
        opened[-1].joined()
    assert min(workers.figures("cometify_listeners", transport="websocket").values()) > 0
    return opened


def test_visitor_is_disconnected_on_all_workers(three):
    token = jwt({"exp": time.time() + 60, "iat": time.time(), "identifiers": ["chat"], "sub": "user_7"})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_SECRET}"}
    with ExitStack() as stack:
        opened = join_on_all(three, stack, f"identifiers=chat&token={token}")
        answer = three.request("POST", f"/{API_KEY}/disconnect", b'{"subject":"user_7"}', headers=headers)
        assert answer.json == {"disconnected": len(opened)}
        for listener in opened:
            assert listener.next("error")["code"] == "not_authorized"
    for _ in range(12):  # a connection each, so that all workers are asked
        assert three.request("GET", f"/{API_KEY}/poll?identifiers=chat&token={token}").json["code"] == "invalid_token"


def test_listeners_on_all_workers_are_listed(three):
    headers = {"Authorization": f"Bearer {API_SECRET}"}
    with ExitStack() as stack:
        opened = join_on_all(three, stack, "identifiers=counted")
        for _ in range(6):  # a connection each, so that all workers are asked
            answer = three.request("GET", f"/{API_KEY}/identifiers?prefix=counted", headers=headers)
            assert [row["listeners"] for row in answer.json["identifiers"]] == [len(opened)]


def test_usage_of_all_workers_is_told_by_each_of_them(three):
    headers = {"Authorization": f"Bearer {API_SECRET}"}

    def told() -> list[dict[str, int]]:
        """The usage of today, from a connection each, so that all workers are asked."""
        return [three.request("GET", f"/{API_KEY}/usage", headers=headers).json["days"][0] for _ in range(6)]

    def summed(name: str) -> float:
        return sum(three.figures(f"cometify_account_{name}_total", account=API_KEY).values())

    with ExitStack() as stack:
        opened = listeners(three, 9, stack, "used")
        for number in range(10):  # a connection each here too
            three.pushed("used", str(number))
        for listener in opened:
            assert [listener.next("push")["text"] for _ in range(10)] == [str(number) for number in range(10)]
        eventually(lambda: all(day["pushes"] == summed("pushes") for day in told()), 30)
        eventually(lambda: all(day["deliveries"] == summed("deliveries") >= 90 for day in told()), 30)
        assert min(day["most_listeners"] for day in told()) >= 9
        assert sum(three.figures("cometify_account_listeners", account=API_KEY).values()) == 9


def test_metrics_are_one_target_whose_series_tell_the_worker(three):
    answer = three.request("GET", "/metrics", port=three.admin_port)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    families = list(read_text(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    for family in families:
        labels = [(sample.name, *sorted(sample.labels.items())) for sample in family.samples]
        assert len(labels) == len(set(labels))
        if family.name.startswith("cometify_config_"):  # the first process reads the file
            assert [sample.labels for sample in family.samples] == [{}]
        elif family.name.startswith("cometify_account_"):  # a worker tells of the accounts that were used there
            assert {sample.labels["worker"] for sample in family.samples} <= set(three.numbers)
        elif family.name.startswith("cometify_") and family.samples:
            assert {sample.labels["worker"] for sample in family.samples} == set(three.numbers)
    # Of the processes there is one more: the one that keeps the workers.
    assert sorted(three.figures("process_start_time_seconds")) == ["", *three.numbers]
    histogram = next(family for family in families if family.name == "cometify_reactor_lag_seconds")
    assert {sample.labels["le"] for sample in histogram.samples if sample.name.endswith("_bucket")} >= {"+Inf"}
    answer = three.request(
        "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}, port=three.admin_port
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in read_openmetrics(answer.body.decode())} == set(names)


def test_docs_list_the_metrics_of_workers(three):
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    section = text.partition("## Several workers")[2].partition("## Alerts")[0]
    listed = re.findall(r"^\| `(cometify_\w+)", section, re.MULTILINE)
    assert sorted(listed) == ["cometify_worker_deaths_total", "cometify_worker_silences_total", "cometify_worker_up"]
    for name in listed:
        assert sorted(three.figures(name)) == three.numbers


def test_one_worker_that_answers_is_enough_to_be_ready(three):
    pids = three.pids()
    try:
        for pid in pids[1:]:
            os.kill(pid, signal.SIGSTOP)
        assert three.request("GET", "/health/ready", port=three.admin_port).status == 200
        assert sorted(three.figures("cometify_worker_up").values()) == [0, 0, 1]
        assert len(three.figures("cometify_pushes_accepted_total")) == 1

        def silent():
            told = three.request("GET", "/console/processes", port=three.admin_port).json["silent"]
            return sorted((one["pid"], one["seconds"] >= 3) for one in told)

        eventually(lambda: silent() == sorted((pid, True) for pid in pids[1:]), 20)
        os.kill(pids[0], signal.SIGSTOP)
        answer = three.request("GET", "/health/ready", port=three.admin_port)
        assert (answer.status, answer.json["reason"]) == (503, "no_worker")
        assert three.request("GET", "/health/live", port=three.admin_port).status == 200
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    three.until_all_are_up()
    # They were stopped for seconds, and the numbers of their lines are as short as those of one process.
    eventually(lambda: re.search(r"\[worker \d: .*This process was busy for \d+\.\d s,", three.log.read_text()))


@pytest.mark.parametrize("how", ["alone", "with_workers"])
def test_port_in_use_is_one_line_and_leaves_nothing(three, tmp_path, how):
    """Taken by a process that does not share it, and by another server with workers, which would."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = three.port if how == "with_workers" else taken.getsockname()[1]
        other = Workers(tmp_path, {**three.options, "http": [f"tcp:{port}:interface=127.0.0.1"]}, {})
        with pytest.raises(AssertionError):
            other.start()
        assert other.process is not None
        assert other.process.wait(START_WITHIN) == 1
    (line,) = [line for line in other.log.read_text().splitlines() if "[twisted.scripts" not in line]
    assert line.endswith(
        f'cometify: http: cannot listen on "tcp:{port}:interface=127.0.0.1" ([Errno 98] Address already in use). '
        "Another process has it: end that process, or choose another endpoint."
    )
    three.pushed("chat", "still served")


@pytest.mark.parametrize("key", ["websocket", "admin"])
def test_two_endpoints_cannot_have_one_port(three, tmp_path, key):
    """The first process opens the ports of its workers, and must not serve the admin endpoint on one of them."""
    text = f"tcp:{free_ports(1)[0]}:interface=127.0.0.1"
    other = Workers(tmp_path, {**three.options, "http": [text], key: text if key == "admin" else [text]}, {})
    with pytest.raises(AssertionError):
        other.start()
    assert other.process is not None
    assert other.process.wait(START_WITHIN) == 1
    assert f'cometify: {key}: cannot listen on "{text}" ([Errno 98] Address already in use)' in other.log.read_text()


def test_tls_and_the_proxy_protocol_are_shared_too(start_workers, tmp_path):
    tls = make_certificate(tmp_path)
    tls_port, proxied = free_ports(2)
    server = start_workers(
        workers=2,
        http=[
            f"ssl:{tls_port}:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1",
            f"haproxy:tcp:{proxied}:interface=127.0.0.1",
        ],
    )
    preamble = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"
    with ExitStack() as stack:
        for _ in range(20):
            for listener in (
                WebSocket(tls_port, f"/{API_KEY}/websocket?identifiers=chat", wrap=tls),
                Stream(proxied, f"/{API_KEY}/stream?identifiers=chat", preamble=preamble),
            ):
                stack.enter_context(listener).joined()
        for transport in ("websocket", "stream"):
            shares = server.figures("cometify_listeners", transport=transport)
            assert sum(shares.values()) == 20
            assert min(shares.values()) > 0
    assert server.stop() == -signal.SIGTERM


@pytest.mark.parametrize(
    ("how", "said"), [(signal.SIGKILL, "was killed by SIGKILL"), (signal.SIGTERM, "ended with exit code 0")]
)
def test_dead_worker_is_replaced(start_workers, how, said):
    server = start_workers(workers=2)
    with ExitStack() as stack:
        before = listeners(server, 20, stack)
        victim = server.pids()[0]
        os.kill(victim, how)
        eventually(lambda: server.logged(said) == 1)
        # The process is over, so the kernel has closed all of its connections.
        cut, *_ = select.select([listener.connection.socket for listener in before], [], [], 0)
        assert 0 < len(cut) < 20
        listeners(server, len(cut), stack)
        server.until_all_are_up()
        assert sum(server.figures("cometify_listeners").values()) == 20
    assert sorted(server.figures("cometify_worker_deaths_total").values()) == [0, 1]
    assert victim not in server.pids()
    assert server.logged(f"(pid {victim}) {said}. A new process starts at once.") == 1


def test_last_words_of_a_worker_are_logged(start_workers, monkeypatch):
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    server = start_workers(workers=2)
    pid = server.pid_of("2")
    os.kill(pid, signal.SIGABRT)
    eventually(lambda: server.logged(f"Worker 2 (pid {pid}) was killed by SIGABRT. A new process starts at once.") == 1)
    assert server.logged("[cometify.runtime.worker_process#error] Worker 2: Fatal Python error: Aborted") == 1


def test_no_push_is_lost_or_doubled_when_a_worker_is_killed(start_workers):
    server = start_workers(workers=3)

    def strike() -> None:
        """Kill the one that has the most listeners."""
        shares = server.figures("cometify_listeners")
        busiest = max(shares, key=shares.__getitem__)
        pid = server.pid_of(busiest)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid))

    assert follow_and_push(server, "killed", strike).resumed
    eventually(lambda: sum(server.figures("cometify_worker_deaths_total").values()) == 1)


def test_worker_that_cannot_start_is_tried_again(start_workers):
    """Folders are in the places of the admin sockets for a while. Whoever connects meanwhile waits, and is not refused."""
    server = start_workers(workers=2)
    (folder,) = runtime_folders(server)
    pids = server.pids()
    os.kill(server.pid, signal.SIGSTOP)  # it starts no worker before the folders are there
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)))
    places = [folder / "1", folder / "2"]
    for place in places:
        place.unlink()
        place.mkdir()
    with Connection(server.port, START_WITHIN) as waiting:
        waiting.send(request_bytes("GET", f"/{API_KEY}/position"))
        os.kill(server.pid, signal.SIGCONT)
        line = "could not be started (Is a directory). A new process starts in 1 s"
        eventually(lambda: server.logged(line) == 2, START_WITHIN)
        answer = server.request("GET", "/health/ready", port=server.admin_port)
        assert (answer.status, answer.json["reason"]) == (503, "no_worker")
        for place in places:
            place.rmdir()
        assert waiting.answer().status == 200
    eventually(lambda: server.request("GET", "/health/ready", port=server.admin_port).status == 200, START_WITHIN)


def are_seen(server, workers):
    """Whether the supervisor has the figures of so many workers."""
    return len(server.figures("cometify_listeners")) == workers


@pytest.mark.parametrize("is_taken", [False, True])
def test_folder_of_the_sockets_that_is_removed_comes_back(start_workers, is_taken):
    """Programs that clean /tmp remove it. `is_taken`: somebody else has put a folder there."""
    server = start_workers(workers=2)
    (folder,) = runtime_folders(server)
    eventually(lambda: are_seen(server, 2))
    os.kill(server.pid, signal.SIGSTOP)
    shutil.rmtree(folder)
    if is_taken:
        folder.mkdir()
        folder.chmod(0o777)
    os.kill(server.pid, signal.SIGCONT)
    eventually(lambda: are_seen(server, 2))
    assert server.request("GET", "/health/ready", port=server.admin_port).status == 200
    pids = server.pids()
    os.kill(pids[0], signal.SIGKILL)
    eventually(lambda: len(set(server.pids()) - {pids[0]}) == 2 and are_seen(server, 2), START_WITHIN)
    (line,) = server.lines("The folder of the workers' sockets")
    assert f"{folder}, was removed. It is " in line
    assert (f"It is {folder} now" in line) is not is_taken
    folders = runtime_folders(server)
    assert server.stop() == -signal.SIGTERM
    assert_clean(server.log.read_text())
    assert not any(one.exists() for one in folders - {folder})
    shutil.rmtree(folder, ignore_errors=True)


def test_end_without_the_folder_of_the_sockets_is_clean(start_workers):
    server = start_workers(workers=2)
    (folder,) = runtime_folders(server)
    os.kill(server.pid, signal.SIGSTOP)
    shutil.rmtree(folder)
    os.kill(server.pid, signal.SIGTERM)
    os.kill(server.pid, signal.SIGCONT)
    assert server.process.wait(20) == -signal.SIGTERM
    server.process = None
    assert_clean(server.log.read_text())


def test_worker_that_keeps_dying_is_replaced_slowly(start_workers):
    server = start_workers(workers=2)
    other, victim = server.pids()
    for when in (
        "at once.",
        "in 1 s, because this was death number 2 in a row.",
        "in 2 s, because this was death number 3 in a row.",
    ):
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        line = f"(pid {victim}) was killed by SIGKILL. A new process starts {when}"
        eventually(lambda: server.logged(line) == 1)  # noqa: B023 - it is called here
        eventually(lambda: len(server.pids()) == 2, START_WITHIN)
        if when[3].isdigit():
            assert time.monotonic() - began > int(when[3]) - 0.1
        (victim,) = set(server.pids()) - {other}
    assert server.logged("A new process starts") == 3


def test_sigterm_drains_all_workers_and_leaves_nothing(start_workers):
    drain = 20
    server = start_workers(workers=3, drain=drain)
    folders = runtime_folders(server)
    pids = server.pids()
    with ExitStack() as stack:
        opened = listeners(server, 12, stack)
        began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        for listener in opened:
            assert 0 <= listener.next("reconnect")["after"] <= 1000 * drain
            with pytest.raises(Closed) as closed:
                listener.frame()
            assert closed.value.code == 4200
            listener.send((4200).to_bytes(2, "big"), opcode=8)
        assert server.process.wait(drain) == -signal.SIGTERM
        assert time.monotonic() - began < drain  # it waits for the listeners, and not for the time they have
    server.process = None
    assert not any(map(alive, pids))
    assert folders
    assert not any(folder.exists() for folder in folders)


def pause(redis: Redis, milliseconds: int) -> None:
    """Have Redis answer nobody for a while."""
    with socket.create_connection(("127.0.0.1", redis.port), 5) as connection:
        connection.sendall(b"CLIENT PAUSE %d ALL\r\n" % milliseconds)
        assert connection.recv(100) == b"+OK\r\n"


def half_closed_peers_are_answered(port: int, redis: Redis, push: bytes) -> None:
    """Peers send nothing more behind pushes that wait for Redis. They get their answers, and their listeners are gone."""
    with Connection(port) as listener:
        listener.send(request_bytes("GET", f"/{API_KEY}/poll?identifiers=quiet"))
        position = json.loads(listener.answer().body.splitlines()[0])["positions"][0]
    poll = request_bytes("GET", f"/{API_KEY}/poll?identifiers=quiet&position={position}")
    stream = request_bytes("GET", f"/{API_KEY}/stream?identifiers=quiet")
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", **key}
    websocket = request_bytes("GET", f"/{API_KEY}/websocket?identifiers=quiet", None, upgrade)
    behind = [(0, poll), *((pushes, request) for pushes in (1, 2) for request in (b"", poll, stream, websocket))]
    with ExitStack() as stack:
        peers = [stack.enter_context(Connection(port)) for _ in behind]
        pause(redis, 300)
        for peer, (pushes, request) in zip(peers, behind, strict=True):
            peer.send(push * pushes + request)
            peer.socket.shutdown(socket.SHUT_WR)
        for peer, (pushes, _request) in zip(peers, behind, strict=True):
            assert [peer.answer().status for _ in range(pushes)] == [200] * pushes
            while peer.socket.recv(65536):
                """A stream may have sent its head before it knew."""


@pytest.mark.parametrize("workers", [1, 2])
def test_pending_push_is_answered_before_the_end(redis, tmp_path, workers):
    """Before the end of the peer, which sends nothing more, and before the end of the server."""
    server = Server(tmp_path, {"redis": redis.url, "workers": workers, "drain": 5}, {}).start()
    body = form({"secret": "0", "secure": secure("under_way", "x"), "text": "x"})
    push = request_bytes("POST", f"/{API_KEY}/push/under_way", body, FORM)
    half_closed_peers_are_answered(server.port, redis, push)
    with Connection(server.port) as publisher:
        publisher.send(request_bytes("GET", "/openapi.json"))
        assert publisher.answer().status == 200
        pause(redis, 700)
        publisher.send(push)
        os.kill(server.pid, signal.SIGTERM)
        answer = publisher.answer()
        assert (answer.status, answer.json["identifier"]) == (200, "under_way")
    assert server.process is not None
    assert server.process.wait(20) == -signal.SIGTERM
    assert_clean(server.log.read_text())


def runtime_folders(server: Workers) -> set[Path]:
    """The folders of the workers' admin endpoints, read from the log."""
    text = server.log.read_text()
    return {Path(line.split("'")[1]).parent for line in text.splitlines() if "Site starting on '" in line}


def test_worker_that_does_not_exit_is_killed(start_workers):
    server = start_workers(workers=2, drain=0)
    (folder,) = runtime_folders(server)
    assert folder.stat().st_mode & 0o777 == 0o700
    stopped = server.pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    assert server.stop() == -signal.SIGTERM
    assert server.logged(f"(pid {stopped}) did not exit in time and is killed") == 1
    assert not alive(stopped)
    assert not folder.exists()


def test_ctrl_c_reaches_all_processes_and_ends_them_once(start_workers, monkeypatch):
    popen = subprocess.Popen
    monkeypatch.setattr(Workers, "is_forked", False)  # a fork stays in the process group of the tests
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: popen(*args, process_group=0, **more))
    server = start_workers(workers=2)
    assert server.lines("A new process starts") == []
    pids = server.pids()
    os.killpg(server.pid, signal.SIGHUP)  # and a terminal that closes says this to all of them
    eventually(lambda: server.logged("Reload done, 1 accounts") == 1)
    assert server.pids() == pids
    os.killpg(server.pid, signal.SIGINT)
    assert server.process.wait(10) == -signal.SIGINT
    server.process = None
    assert not any(map(alive, pids))
    assert server.lines("A new process starts") == []


def test_no_worker_outlives_the_process_that_keeps_them(start_workers):
    server = start_workers(workers=2)
    (folder,) = runtime_folders(server)
    pids = server.pids()
    with ExitStack() as stack:
        opened = listeners(server, 8, stack)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        for listener in opened:
            assert listener.next("reconnect")
            listener.close()
        eventually(lambda: not any(map(alive, pids)), 5)
    assert not folder.exists()


def test_sighup_reaches_all_workers_and_later_ones(start_workers):
    server = start_workers(workers=2)
    file = server.folder / "cometify.toml"
    right = file.read_text()

    def statuses(key: str) -> set[int]:
        """Opens many connections, so that each worker answers one of them."""
        return {server.request("GET", f"/{key}/poll?identifiers=chat").status for _ in range(24)}

    assert statuses("2") == {403}
    file.write_text(right + '\n[[account]]\napi_key = "2"\napi_secret = "s"\nlisteners_per_ip = 1000\n')
    os.kill(server.pid, signal.SIGHUP)
    eventually(lambda: server.logged("Reload done, 2 accounts") == 1)
    eventually(lambda: statuses("2") == {200})

    file.write_text(right.replace("listeners_per_ip", "listenersperip"))
    os.kill(server.pid, signal.SIGHUP)
    eventually(lambda: server.logged("listenersperip") > 0)
    assert server.logged("Reload failed") == 1
    # A worker that replaces a dead one gets the accounts that were read last, and not those of the file.
    os.kill(server.pids()[0], signal.SIGKILL)
    eventually(lambda: server.logged("Serves") == 3, START_WITHIN)
    assert statuses("2") == {200}


def test_made_up_account_is_the_same_in_all_workers(redis, tmp_path):
    port, admin = free_ports(2)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*TWISTD, "-n", "--pidfile=", "cometify", "--workers=2", f"--redis={redis.url}",
             f"--http=tcp:{port}:interface=127.0.0.1",
             f"--websocket=tcp:{free_ports(1)[0]}:interface=127.0.0.1", f"--admin=tcp:{admin}:interface=127.0.0.1"],
            cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": PYTHONPATH},
        )  # fmt: skip
    try:
        eventually(lambda: "API secret" in (tmp_path / "log").read_text(), START_WITHIN)
        text = (tmp_path / "log").read_text()
        key, secret = (text.partition(word)[2].split()[0] for word in ("API key", "API secret"))
        eventually(lambda: text_count(tmp_path, "Serves") == 2, START_WITHIN)
        for pid in children(process.pid):
            assert secret not in Path(f"/proc/{pid}/cmdline").read_text()
            assert secret not in Path(f"/proc/{pid}/environ").read_text()
        for _ in range(12):
            with Connection(port) as connection:
                connection.send(request_bytes("GET", f"/{key}/poll?identifiers=chat"))
                assert connection.answer().status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def text_count(folder: Path, text: str) -> int:
    return (folder / "log").read_text().count(text)


def test_inspector_shows_listeners_of_all_workers(three):
    with ExitStack() as stack:
        opened = listeners(three, 12, stack)
        position = three.pushed("chat", "inspected")
        assert [listener.texts(1) for listener in opened] == [["inspected"]] * 12
        path = f"/inspect?account={API_KEY}&identifier=chat"
        processes = three.request("GET", path, port=three.admin_port).json["processes"]
        assert sorted(process["worker"] for process in processes) == [1, 2, 3]
        assert sum(view["count"] for process in processes for view in process["listeners"]) == 12
        last = [process["last"] for process in processes if process["listeners"]]
        assert last == [position] * len(last)
        overview = three.request("GET", "/inspect", port=three.admin_port).json["processes"]
        assert sum(process["listeners"].get("websocket", 0) for process in overview) == 12
        assert three.request("GET", "/inspect?account=1", port=three.admin_port).json["code"] == "missing_parameter"


def test_console_shows_all_workers(three):
    def told(path):
        return three.request("GET", f"/console/{path}", port=three.admin_port).json

    with ExitStack() as stack:
        listeners(three, 12, stack)

        def counted():
            columns = [process["history"]["columns"] for process in told("processes")["processes"]]
            return sum(column.get("listeners.websocket", [0])[-1] for column in columns) == 12

        eventually(counted, START_WITHIN)
        assert told("processes?since=0")["alone"] is None

        def numbers():
            # Two kinds have no number here: other servers of this module, and workers that are too busy to answer.
            return sorted(process["worker"] for process in told("processes")["processes"] if "worker" in process)

        eventually(lambda: numbers() == [1, 2, 3], START_WITHIN)
        found = told(f"identifier?account={API_KEY}&identifier=chat")["processes"]
        assert sum(view["count"] for process in found for view in process["identifier"]["listeners"]) == 12
        assert told("identifier?account=1")["code"] == "missing_parameter"


def test_stopped_worker_is_told_and_replaced_within_5_s(start_workers):
    server = start_workers(workers=2)
    before = server.pid_of("1")
    with SchedulingLag() as lag:
        os.kill(before, signal.SIGSTOP)
        began = time.monotonic()
        told = re.escape(f"Worker 1 (pid {before}) has not answered for ") + r"\d+ s. It is killed"
        eventually(lambda: re.search(told + ", because a signal has stopped it.", server.log.read_text()), 20)
        eventually(lambda: not alive(before))
        assert time.monotonic() - began < 5 + lag.seconds
    assert re.search(told + " after 30 s, or at once if it does nothing.", server.log.read_text())
    eventually(lambda: not alive(before) and server.figures("cometify_worker_up") == {"1": 1, "2": 1}, START_WITHIN)
    assert server.pid_of("1") != before
    assert server.figures("cometify_worker_silences_total") == {"1": 1, "2": 0}
    assert server.figures("cometify_worker_deaths_total") == {"1": 1, "2": 0}


def test_stopped_supervisor_blames_no_worker(start_workers):
    server = start_workers(workers=2)
    pids = server.pids()
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(server.pid, signal.SIGCONT)
    time.sleep(2)
    assert not server.logged("has not answered")
    assert server.pids() == pids


def test_requests_of_the_console_reach_a_worker(three):
    kind = {"Content-Type": "application/json"}
    body, path = b'{"text":"from the console","secret":0}', f"/{API_KEY}/push/chat"
    with three.websocket("identifiers=chat") as listener:
        listener.joined()
        sealed = seal(path, body, time.time(), secrets.token_hex(16), kind="application/json")
        assert three.request("POST", path, body, sealed, port=three.admin_port).json["identifier"] == "chat"
        assert listener.texts(1) == ["from the console"]
        checked = three.request("POST", "/console/check", b'{"request":"x"}', kind, port=three.admin_port)
        assert [check["name"] for check in checked.json["checks"]] == ["request"]
        listed = three.request("GET", f"/console/identifiers?account={API_KEY}&prefix=chat", port=three.admin_port).json
        assert [row["identifier"] for row in listed["identifiers"]] == ["chat"]
        refused = three.request("POST", "/console/disconnect?account=nobody", b"{}", kind, port=three.admin_port)
        assert (refused.status, refused.json["code"]) == (404, "not_found")
