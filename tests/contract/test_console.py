"""The figures of the console on the admin endpoint."""

import json
import os
import resource
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from cometify.core.account import Account
from cometify.core.history import EVERY, SAMPLES
from cometify.core.recent_refusals import MOST_ROWS
from tests.contract.support import API_KEY, API_SECRET, code_of, texts
from tests.contract.test_webhooks import Receiver, make_world
from tests.memory import Wire, World
from tests.wire import form, request_bytes, seal


def ask(world, method, target, body=None, **headers):
    """Send a request to the admin endpoint, and wait for Redis as long as the answer needs it."""
    wire = world.connect_admin()
    data = None if body is None else json.dumps(body).encode()
    names = {} if body is None else {"Content-Type": "application/json"}
    names.update({name.replace("_", "-"): value for name, value in headers.items()})
    wire.receive(request_bytes(method, target, data, names))
    return answer_of(world, wire)


def answer_of(world, wire):
    until = time.monotonic() + 10
    while not wire.answered and time.monotonic() < until:
        time.sleep(0.005)
        world.settle()
    return wire.answer()


def report(world, name, query=""):
    answer = ask(world, "GET", f"/console/{name}?{query}")
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert answer.json["alone"] is None
    (process,) = answer.json["processes"]
    return process


def history(world, query=""):
    return report(world, "processes", query)["history"]


def last(figures, name):
    """The newest figure of a column."""
    return figures["columns"][name][-1] if name in figures["columns"] else 0


def test_pushes_and_deliveries_of_each_five_seconds_are_told(world):
    world.websocket("identifiers=chat"), world.stream("identifiers=chat")
    world.advance(2 * EVERY)
    for pushes in (3, 0, 1):
        for _ in range(pushes):
            world.pushed("chat", "x")
        world.advance(EVERY)
    figures = history(world)
    assert figures["every"] == EVERY
    assert figures["columns"]["pushes"][-3:] == [3, 0, 1]
    assert figures["columns"]["deliveries"][-3:] == [6, 0, 2]
    assert figures["columns"]["listeners.websocket"][-1] == figures["columns"]["listeners.stream"][-1] == 1
    assert sum(sum(figures["columns"][name][-3:]) for name in figures["columns"] if name.startswith("lag.")) > 0


def test_only_newer_samples_are_answered(world):
    world.advance(3 * EVERY)
    figures = history(world)
    newest = figures["from"] + (figures["samples"] - 1) * EVERY
    assert history(world, f"since={newest - EVERY}")["samples"] == 1
    assert history(world, f"since={newest}")["samples"] == 0


def test_history_is_that_of_an_hour(world):
    world.advance(3700)
    assert history(world)["samples"] == SAMPLES


def test_process_tells_its_version_start_and_state(world):
    process = report(world, "processes")
    assert process["not_ready"] is None
    assert process["now"] - process["started"] == pytest.approx(3600, abs=60)
    assert {"version", "host", "pid", "engine", "id"} <= process.keys()
    assert process["certificates"] == []
    world.server.drain()
    assert report(world, "processes")["not_ready"] == "draining"


def test_process_tells_how_near_it_is_to_its_limits(world):
    with ExitStack() as stack:
        before = report(world, "processes")["descriptors"]["used"]
        for _ in range(40):
            stack.enter_context(Path(os.devnull).open())
        used = report(world, "processes")["descriptors"]
    assert (used["used"] - before, used["most"]) == (40, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    assert before == pytest.approx(len(list(Path("/proc/self/fd").iterdir())), abs=2)


def test_process_tells_the_state_of_redis(world, engine):
    world.advance(1)
    redis = report(world, "processes")["redis"]
    if engine == "memory":
        assert redis is None
        return
    used = redis.pop("used")
    assert used > 500_000
    assert redis == {
        "up": True, "reason": None, "most": 0, "policy": "noeviction", "replicas": None, "wanted_replicas": 0,
    }  # fmt: skip


def test_each_account_has_its_own_figures():
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,)))
    world.stream("identifiers=chat", key="other")
    world.pushed("chat", "xyz")
    world.advance(EVERY)
    accounts = report(world, "accounts")
    assert accounts["last_minute"][API_KEY] == {"pushes": 1, "push_bytes": 3}
    assert accounts["listeners"] == {"other": 1}
    assert last(report(world, "account", f"account={API_KEY}")["history"], "pushes") == 1
    assert last(report(world, "account", "account=other")["history"], "listeners") == 1
    assert report(world, "account", "account=nobody")["history"]["samples"] == 0


def test_refusals_name_account_code_and_remedy(world):
    for _ in range(3):
        world.request(
            "POST",
            f"/{API_KEY}/push/chat",
            form({"text": "a private word", "secret": "0", "secure": "00" * 16}),
            Content_Type="application/x-www-form-urlencoded",
        )
    world.stream("identifiers=wrong-name")
    world.websocket("identifiers=chat", key="a_secret_by_mistake")
    world.stream("identifiers=chat&token=a.b.c")
    rows = report(world, "refusals")["refusals"]
    seen = {(row["account"], row["code"]): row for row in rows}
    assert seen.keys() == {
        (API_KEY, "not_authorized"),
        (API_KEY, "invalid_identifier"),
        (None, "not_authorized"),
        (API_KEY, "invalid_token"),
    }
    wrong = seen[API_KEY, "not_authorized"]
    assert wrong["count"] == 3
    assert "md5hex(apiKey" in wrong["detail"]
    assert wrong["last"] == pytest.approx(world.wall(), abs=1)
    for secret in ("a private word", "00" * 16, "a_secret_by_mistake", "a.b.c", API_SECRET):
        assert secret not in json.dumps(rows)


def test_refusals_take_bounded_memory(world):
    for number in range(3 * MOST_ROWS):
        world.stream(f"identifiers=wrong-{number}")
    assert len(report(world, "refusals")["refusals"]) == MOST_ROWS


def test_listener_that_does_not_read_is_named():
    world = World()
    slow = world.stream("identifiers=chat&listener=slow_listener")
    world.stream("identifiers=chat&listener=fast_listener")
    slow.frames()
    slow.stop_reading()
    for _ in range(40):
        world.pushed("chat", "x" * 60_000)
    world.advance(7)
    found = report(world, "identifier", f"account={API_KEY}&identifier=CHAT")["identifier"]
    (row,) = found["slow"]
    assert (row["listener"], row["transport"]) == ("slow_listener", "stream")
    assert row["seconds"] >= 5
    assert row["behind_by"] > 0
    assert sum(view["behind"] for view in found["listeners"]) == 1


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("account", "missing_parameter"),
        ("identifier?account=1", "missing_parameter"),
        ("identifier?account=1&identifier=a+b", "invalid_identifier"),
        ("processes?since=yesterday", "invalid_parameter"),
    ],
)
def test_wrong_question_is_refused(world, target, code):
    assert code_of(ask(world, "GET", f"/console/{target}")) == code


def test_stranger_in_a_browser_gets_no_figures(world):
    answer = ask(world, "GET", "/console/processes", Host="evil.example")
    assert (answer.status, code_of(answer)) == (403, "origin_not_allowed")


# Lists and actions.


def test_identifiers_of_an_account_are_listed(world):
    world.stream("identifiers=chat,news")
    position = world.pushed("orders", "x")
    found = ask(world, "GET", f"/console/identifiers?account={API_KEY}&prefix=o").json
    assert found["next"] is None
    (row,) = found["identifiers"]
    assert (row["identifier"], row["listeners"], row["kept"], row["position"]) == ("orders", 0, 1, position)
    counts = ask(world, "GET", f"/console/counts?account={API_KEY}&identifier=Chat").json
    assert (counts["listeners"], counts["transports"]["stream"]) == (1, 1)


def test_operator_disconnects_a_listener(world):
    wire = world.stream("identifiers=chat&listener=some_visitor")
    wire.frames()
    answer = ask(world, "POST", f"/console/disconnect?account={API_KEY}", {"listener": "some_visitor"})
    world.advance(1.5)
    assert (answer.status, answer.json) == (200, {"disconnected": 1})
    assert [frame["code"] for frame in wire.frames() if frame["type"] == "error"] == ["not_authorized"]


@pytest.mark.parametrize("path", ["/console/disconnect?account=1", "/console/check"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:81"])
def test_page_of_another_origin_changes_nothing(world, path, origin):
    answer = ask(world, "POST", path, {}, Host="127.0.0.1:8082", Origin=origin)
    assert (answer.status, code_of(answer)) == (403, "origin_not_allowed")


def test_page_of_the_console_may_act(world):
    answer = ask(
        world, "POST", "/console/check", {"request": "x"}, Host="127.0.0.1:8082", Origin="http://127.0.0.1:8082"
    )
    assert answer.status == 200


def test_account_that_does_not_exist_is_told(world):
    for method, name in (("GET", "identifiers"), ("GET", "counts"), ("POST", "disconnect")):
        assert code_of(ask(world, method, f"/console/{name}?account=nobody&identifier=a", {})) == "not_found"


def test_signed_push_through_the_admin_endpoint_is_made(world):
    listener = world.stream("identifiers=chat")
    listener.frames()
    body = json.dumps({"text": "from the console", "secret": 0}).encode()
    path = f"/{API_KEY}/push/chat"
    wire = world.connect_admin()
    sealed = seal(path, body, world.wall(), "n" * 16, kind="application/json")
    wire.receive(request_bytes("POST", path, body, sealed))
    assert answer_of(world, wire).status == 200
    assert texts(listener.frames()) == ["from the console"]
    path = f"/{API_KEY}/identifiers/chat/pushes"
    answer = ask(world, "GET", path, **seal(path, b"", world.wall(), "m" * 16, method="GET"))
    assert [push["text"] for push in answer.json["pushes"]] == ["from the console"]
    assert ask(world, "GET", path).status == 400


def test_other_requests_of_back_ends_are_not_on_the_admin_endpoint(world):
    for path in (f"{API_KEY}/poll?identifiers=chat", f"{API_KEY}/identifiers", f"{API_KEY}/disconnect"):
        assert ask(world, "GET", f"/{path}").status == 404


def test_failing_webhook_is_told_with_its_last_error():
    world = make_world()
    receiver = Receiver(world)
    receiver.answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    world.websocket("identifiers=chat")
    receiver.run(5)
    (webhook,) = report(world, "webhooks")["webhooks"]
    assert (webhook["api_key"], webhook["last_success"]) == (API_KEY, None)
    assert "502" in webhook["last_error"]
    assert webhook["failing_since"] == pytest.approx(world.wall(), abs=10)


def test_admin_token_guards_the_figures_and_not_the_page(tmp_path):
    token = tmp_path / "token"
    token.write_text("t" * 32)
    token.chmod(0o600)
    world = World(admin_token_file=str(token))
    for method, path in (("GET", "processes"), ("GET", "refusals"), ("POST", "check"), ("POST", "disconnect")):
        assert code_of(ask(world, method, f"/console/{path}", {})) == "not_authorized"
    assert code_of(ask(world, "GET", "/inspect")) == "not_authorized"
    for path in ("/", "/console.js", "/metrics"):
        assert ask(world, "GET", path).status == 200
    for path in ("/console/processes", "/inspect"):
        assert ask(world, "GET", path, Authorization=f"Bearer {'t' * 32}").status == 200
    assert ask(world, "POST", "/console/check", {"request": "x"}, Authorization=f"Bearer {'t' * 32}").status == 200


def test_other_machines_may_look_but_not_act_without_a_token(world):
    for method, path, status in (("GET", "processes", 200), ("POST", "check", 403), ("POST", "disconnect", 403)):
        wire = Wire(world, "10.0.0.9", world.server.admin)
        body = b"{}" if method == "POST" else None
        wire.receive(
            request_bytes(method, f"/console/{path}?account={API_KEY}", body, {"Content-Type": "application/json"})
        )
        assert answer_of(world, wire).status == status
