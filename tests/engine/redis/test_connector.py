"""Every kind of Redis URL, with a real Redis; a Redis that cannot be reached; a Redis that is frozen."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.rig.ports import free_ports
from tests.certificates import make_key_pair
from tests.conftest import PYTHONPATH, Server, assert_clean
from tests.lag import SchedulingLag
from tests.redis import RedisConnection, RedisServer
from tests.wire import Connection, eventually, form, request_bytes, secure

SECRETS = ("swordfish", "sentinels_own", "guest:@")
QUOTED = "guest%3A%40"
DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
DOCUMENTED_RIGHTS = re.search(r"Cometify's user needs `([^`]+)`", DOCS.read_text())[1].split()


def certificate(folder: Path, name: str) -> list[str]:
    """Make a self-signed certificate for localhost. Returns the options of redis-server for it."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    make_key_pair(key, cert)
    return ["--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-ca-cert-file", str(cert)]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str]]]:
    """For each kind of URL the answer to a push, and the URL as a log shows it."""
    folder = tmp_path_factory.mktemp("reach")
    port, tls, closed, sentinel, shy_sentinel, bus = free_ports(6)
    one = RedisServer(
        folder / "one", "--port", str(port), "--tls-port", str(tls), "--tls-auth-clients", "no", *certificate(folder, "own"),
        "--requirepass", "swordfish",
        "--user", "guest", "on", ">guest:@", "~*", "&*", "+@all", "--user", "idle", "on", ">idle", "-@all", "+auth",
        "--user", "documented", "on", ">guest:@", *DOCUMENTED_RIGHTS,
        "--user", "timeless", "on", ">guest:@", *DOCUMENTED_RIGHTS, "-time",
        "--user", "whole", "on", ">guest:@", *DOCUMENTED_RIGHTS, "-evalsha",
    )  # fmt: skip
    certificate(folder, "other")
    os.mkfifo(folder / "pipe.pem")
    (folder / "both.pem").write_text("The key:\n" + (folder / "own.key").read_text() + (folder / "own.pem").read_text())
    open_ = RedisServer(folder / "open")
    part = RedisServer(folder / "part", "--cluster-enabled", "yes", "--cluster-port", str(bus))
    watchers = [
        sentinel_of(folder, sentinel, port, ""),
        sentinel_of(folder, shy_sentinel, port, "requirepass sentinels_own"),
    ]
    try:
        open_.start()
        open_.command("SELECT", "7")
        open_.command("SET", "cometify:{.}:schema", "3")
        part.start()
        one.start(password="swordfish")
        for watcher, number in zip(watchers, (sentinel, shy_sentinel), strict=True):
            eventually(lambda number=number, watcher=watcher: answers_at(number) or watcher.poll(), 30)
        at = f"127.0.0.1:{port}"
        here = {
            "password": f"redis://:swordfish@{at}/0",
            "user": f"redis://guest:{QUOTED}@{at}",
            "the rights of docs/redis.md": f"redis://documented:{QUOTED}@{at}",
            "a user without a command of the scripts": f"redis://timeless:{QUOTED}@{at}",
            "a user without EVALSHA": f"redis://whole:{QUOTED}@{at}",
            "a cluster": f"redis+unix://{part.path}",
            "keys of a newer version": f"redis+unix://{open_.path}?db=7",
            "database": f"redis://:swordfish@{at}/5",
            "socket": f"redis+unix://{open_.path}",
            "socket with a database": f"redis+unix://{open_.path}?db=3",
            "tls": f"rediss://:swordfish@localhost:{tls}/0?ca={folder}/own.pem",
            "an authority beside its key": f"rediss://:swordfish@localhost:{tls}/0?ca={folder}/both.pem",
            "sentinel": f"redis+sentinel://:swordfish@127.0.0.1:{closed},127.0.0.1:{sentinel}/main?db=2",
            "sentinel with a password":
                f"redis+sentinel://:swordfish@127.0.0.1:{shy_sentinel}/main?sentinel_password=sentinels_own",
            "no password": f"redis://{at}",
            "wrong password": f"redis://:swordfish2@{at}",
            "wrong user": f"redis://nobody:swordfish@{at}",
            "no such database": f"redis://:swordfish@{at}/99",
            "a user without rights": f"redis://idle:idle@{at}",
            "another certificate": f"rediss://:swordfish@localhost:{tls}/0?ca={folder}/other.pem",
            "a certificate that the system does not trust": f"rediss://:swordfish@localhost:{tls}/0",
            "a certificate of another host": f"rediss://:swordfish@127.0.0.1:{tls}/0?ca={folder}/own.pem",
            "tls where there is none": f"rediss://:swordfish@{at}?ca={folder}/own.pem",
            "nobody there": f"redis://:swordfish@127.0.0.1:{closed}",
            "no authority": f"rediss://:swordfish@localhost:{tls}/0?ca={folder}/none.pem",
            "an authority that is a pipe": f"rediss://:swordfish@localhost:{tls}/0?ca={folder}/pipe.pem",
            "a key for an authority": f"rediss://:swordfish@localhost:{tls}/0?ca={folder}/own.key",
            "no socket": f"redis+unix://{folder}/nothing.sock",
            "no such name": f"redis+sentinel://:swordfish@127.0.0.1:{sentinel}/other",
            "no sentinel": f"redis+sentinel://:swordfish@127.0.0.1:{closed}/main",
            "a sentinel whose password is wrong":
                f"redis+sentinel://:swordfish@127.0.0.1:{shy_sentinel}/main?sentinel_password=swordfish3",
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.engine.redis.reach", *here.values()]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        found = {url: (answer, written) for url, answer, written in map(json.loads, ran.stdout.splitlines())}
        yield {name: found[url] for name, url in here.items()}
    finally:
        for watcher in watchers:
            watcher.kill()
            watcher.wait(10)
        one.stop()
        open_.stop()
        part.stop()


def sentinel_of(folder: Path, port: int, of: int, more: str) -> "subprocess.Popen[bytes]":
    file = folder / f"sentinel{port}.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor main 127.0.0.1 {of} 1\n"
        f"sentinel auth-pass main swordfish\n{more}\n"
    )
    return subprocess.Popen(["redis-server", file, "--sentinel"], stdout=subprocess.DEVNULL)


def answers_at(port: int) -> bool:
    try:
        with RedisConnection(port) as connection:
            connection.command("PING")
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "way",
    [
        "password", "user", "the rights of docs/redis.md", "database", "socket",
        "socket with a database", "tls", "an authority beside its key", "sentinel", "sentinel with a password",
    ],
)  # fmt: skip
def test_push_goes_over_redis_by_every_kind_of_url(answers, way):
    assert answers[way][0] == "1 cometify:{1}:chat"


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("no password", "NOAUTH"),
        ("wrong password", "WRONGPASS"),
        ("wrong user", "WRONGPASS"),
        ("no such database", "DB index is out of range"),
        ("a user without rights", "NOPERM"),
        ("a user without a command of the scripts", "no permissions to run the 'time' command"),
        ("a user without EVALSHA", "NOPERM"),
        ("a cluster", "a Redis Cluster, and has some of the accounts alone"),
        ("keys of a newer version", "layout 3, and this version of Cometify knows no layout above 2"),
        ("another certificate", "certificate verify failed"),
        ("a certificate that the system does not trust", "certificate verify failed"),
        ("a certificate of another host", "VerificationError"),
        ("tls where there is none", ""),
        ("nobody there", "refused"),
        ("no authority", "No such file"),
        ("an authority that is a pipe", "is a pipe"),
        ("a key for an authority", "own.key has no certificate in PEM"),
        ("no socket", "No such file"),
        ("no such name", "knows no other"),
        ("no sentinel", "could not be reached"),
        ("a sentinel whose password is wrong", "did not answer"),
    ],
)
def test_unreachable_redis_is_reported_with_the_reason(answers, way, reason):
    answer, _written = answers[way]
    assert "ok" not in answer.split()
    assert reason in answer


def test_no_password_is_in_an_error_or_a_log(answers):
    for answer, written in answers.values():
        for secret in (*SECRETS, QUOTED, "idle:", "swordfish2", "swordfish3"):
            assert secret not in answer
            assert secret not in written


def test_connecting_is_retried_after_a_missing_ca_file(tmp_path: Path):
    server = Server(tmp_path, {"redis": "rediss://127.0.0.1:1/0?ca=/none.pem"}, {})
    server.write_config()
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            [*server.twistd, "-n", "--pidfile=", "cometify"],
            cwd=tmp_path, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": PYTHONPATH},
        )  # fmt: skip
    eventually(lambda: "is away: [Errno 2] No such file or directory" in server.log.read_text())
    assert server.request("GET", "/health/ready", port=server.admin_port).json["reason"] == "engine_unavailable"
    assert "Cometify is up" not in server.log.read_text()
    assert server.stop() == -signal.SIGTERM
    assert_clean(server.log.read_text())


# A frozen Redis.


def test_frozen_redis_refuses_pushes_and_keeps_listeners(make_server: Callable[..., Server], tmp_path: Path):
    redis = RedisServer(tmp_path / "frozen").start()
    try:
        server = make_server(redis=f"redis+unix://{redis.path}", heartbeat=1)
        with server.websocket("identifiers=chat") as websocket, server.stream("identifiers=chat") as stream:
            websocket.joined(), stream.joined()
            server.pushed("chat", "before")
            redis.send_signal(signal.SIGSTOP)
            body = form({"text": "meanwhile", "secret": "0", "secure": secure("chat", "meanwhile")})
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "k"}
            request = request_bytes("POST", "/37282591/push/chat", body, headers)
            publishers = [Connection(server.port) for _ in range(5)]
            with SchedulingLag() as lag:
                began = time.monotonic()
                for publisher in publishers:
                    publisher.send(request)
                for publisher in publishers:
                    answer = publisher.answer()
                    assert time.monotonic() - began < 2 + lag.seconds
                    assert (answer.status, answer.json["code"]) == (503, "engine_unavailable")
                    assert int(answer.headers["retry-after"]) >= 1
            assert server.request("GET", "/health/ready", port=server.admin_port).status == 503
            assert server.request("GET", "/health/live", port=server.admin_port).status == 200
            refused = server.push("chat", "at once")
            assert (refused.status, refused.json["code"]) == (503, "engine_unavailable")
            redis.send_signal(signal.SIGCONT)
            eventually(lambda: server.request("GET", "/health/ready", port=server.admin_port).status == 200)
            for publisher in publishers:
                publisher.send(request)
                again = publisher.answer()
                assert again.status == 200
                publisher.close()
            server.pushed("chat", "after")
            for listener in (websocket, stream):
                assert listener.texts(3) == ["before", "meanwhile", "after"]
        log = server.log.read_text()
        assert "is away: no answer within 1.5 seconds" in log
        assert "is there again after" in log
        assert log.count("Cometify is up") == 1
    finally:
        redis.stop()
