"""The inspector on the admin endpoint: its view of listeners and pushes, without any secret."""

import json

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, code_of
from tests.memory import World
from tests.wire import secure_key


def inspect(world, query=""):
    answer = world.admin("GET", f"/inspect?{query}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    (process,) = answer.json["processes"]
    return process


def test_identifiers_with_the_most_listeners_are_listed(world):
    world.websocket("identifiers=chat"), world.stream("identifiers=chat,news"), world.stream("identifiers=chat:59")
    position = world.pushed("chat", "x" * 100)
    process = inspect(world)
    assert process["listeners"] == {"websocket": 1, "stream": 2}
    assert process["listened_to"] == 2
    chat, news = process["identifiers"]
    assert (chat["account"], chat["identifier"], chat["listeners"]) == (API_KEY, "chat", 3)
    assert (chat["kept"], chat["last"]) == (1, position)
    assert 100 < chat["bytes"] < 250
    assert news == {**news, "identifier": "news", "listeners": 1, "kept": 0, "bytes": 0, "last": None}


def test_at_most_a_hundred_identifiers_are_listed():
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1000))
    for number in range(3):
        names = ",".join(f"n{number}_{index}" for index in range(40))
        world.stream(f"identifiers={names}")
    world.stream("identifiers=n2_39")
    process = inspect(world)
    assert (process["listened_to"], len(process["identifiers"])) == (120, 100)
    assert process["identifiers"][0] == {**process["identifiers"][0], "identifier": "n2_39", "listeners": 2}


def test_one_identifier_shows_its_listeners_and_kept_pushes(world):
    world.stream("identifiers=chat:59")
    world.stream("identifiers=Chat")
    world.stream(f"identifiers=chat&secureKey={secure_key('chat')}")
    world.websocket("identifiers=chat," + ",".join(f"more{number}" for number in range(11)))
    positions = [world.pushed("chat", f"text {push_id}", push_id=push_id) for push_id in (60, 2**63 - 1)]
    positions.append(world.pushed("chat", "members only", secret=1))
    process = inspect(world, f"account={API_KEY}&identifier=CHAT")
    assert (process["account"], process["identifier"]) == (API_KEY, "chat")
    seen = [
        (view["transport"], view["secret"], view["count"], view["behind"], view["with_internal_id"])
        for view in process["listeners"]
    ]
    assert sorted(seen) == [("stream", False, 2, 0, 1), ("stream", True, 1, 0, 0), ("websocket", False, 1, 0, 0)]
    many = next(view for view in process["listeners"] if view["transport"] == "websocket")
    assert (many["names"][0], len(many["names"]), many["names_in_all"]) == ("chat", 10, 12)
    told = [(push["position"], push["push_id"], push["secret"]) for push in process["pushes"]]
    assert told == list(
        zip(positions[::-1], [None, "9223372036854775807", "60"], [True, False, False], strict=True)
    )  # A push_id is a string, because a browser would round the number.
    assert (process["kept"], process["last"]) == (3, positions[-1])


def test_the_last_twenty_pushes_are_shown(world):
    world.stream("identifiers=chat")
    for number in range(25):
        world.pushed("chat", "x", push_id=number)
    pushes = inspect(world, f"account={API_KEY}&identifier=chat")["pushes"]
    assert [push["push_id"] for push in pushes] == [str(number) for number in range(24, 4, -1)]


@pytest.mark.memory("with Redis a node has nothing of what nobody listens to")
def test_kept_pushes_are_shown_without_listeners(world):
    world.pushed("chat", "x")
    process = inspect(world, f"account={API_KEY}&identifier=chat")
    assert (process["listeners"], process["kept"]) == ([], 1)
    assert inspect(world)["identifiers"] == []


def test_unknown_identifier_or_account_shows_nothing(world):
    for account in (API_KEY, "nobody"):
        process = inspect(world, f"account={account}&identifier=chat")
        assert (process["listeners"], process["kept"], process["pushes"]) == ([], None, [])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("account=1", "missing_parameter"),
        ("identifier=chat", "missing_parameter"),
        ("account=1&identifier=a%20b", "invalid_identifier"),
        ("account=%ff&identifier=chat", "invalid_parameter"),
    ],
)
def test_wrong_query_is_refused(world, query, code):
    assert code_of(world.admin("GET", f"/inspect?{query}")) == code


def test_inspector_tells_no_text_key_or_address(world):
    world.stream(f"identifiers=chat&secureKey={secure_key('chat')}&listener=0123456789abcdef", host="192.0.2.7")
    world.pushed("chat", "a text that is nobody's business", secret=1)
    for query in ("", f"account={API_KEY}&identifier=chat"):
        told = json.dumps(inspect(world, query))
        for hidden in ("nobody's business", API_SECRET, secure_key("chat"), "192.0.2.7", "0123456789abcdef"):
            assert hidden not in told


def test_page_is_on_the_admin_endpoint_only(world):
    page = world.admin("GET", "/")
    assert page.status == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name in ("console.js", "console.css", "favicon.svg"):
        assert name.encode() in page.body
        assert world.admin("GET", f"/{name}").status == 200
    for path in ("/inspect", "/console.js", "/console/processes"):
        assert code_of(world.request("GET", path).answer()) == "not_found"
