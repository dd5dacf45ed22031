"""The broadcasting driver for Laravel, in an app that is made of Laravel's own components."""

import base64
import json
import subprocess
import time

import pytest

from tests.conftest import Server
from tests.sdk.conftest import HERE, SDK, url_of
from tests.sdk.test_pushing import kept
from tests.wire import API_SECRET

PRIVATE = ["private-*", "presence-*"]
SOCKET = "9f2c51d07ab34e18"


class App:
    """A process of PHP with the app."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            ["php", str(HERE / "laravel.php"), str(SDK / "php"), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.written = ""

    def ask(self, what, **given):
        self.process.stdin.write(json.dumps([what, given]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        self.written += line
        return json.loads(line)

    def auth(self, channel, user=7, **form):
        given = {"form": {"channel_name": channel, "socket_id": SOCKET, **form}}
        return self.ask("auth", **(given if user is None else {**given, "user": user}))

    def broadcast(self, *channels, event="OrderShipped", **given):
        return self.ask("broadcast", **{"class": event}, channels=channels, **given)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The account is set up as the page of Laravel says."""
    account = {"identifiers": "extended", "private": PRIVATE, "signatures": "strong"}
    server = Server(tmp_path_factory.mktemp("server"), {}, account).start()
    yield server
    server.stop()


@pytest.fixture
def app(server):
    app = App(url_of(server.port))
    yield app
    rest, _ = app.process.communicate(timeout=20)
    assert rest == ""
    assert API_SECRET not in app.written


def claims(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


# Events.


def test_event_reaches_its_channel(server, app):
    assert app.broadcast(["public", "orders"]) == []
    (push,) = kept(server, "orders")
    assert (push["event"], push["data"]) == ("OrderShipped", {"order": {"id": 7}})


def test_event_with_a_name_of_its_own_and_no_payload(server, app):
    app.broadcast(["public", "paid"], event="OrderPaid")
    (push,) = kept(server, "paid")
    assert (push["event"], push["data"]) == ("order.paid", {})


def test_private_event_is_secret(server, app):
    app.broadcast(["private", "orders.5"], ["presence", "room.5"], ["public", "all.5"])
    assert len(kept(server, "all.5")) == 1
    for channel, user in (("private-orders.5", 5), ("presence-room.5", 7)):
        status, answer = app.auth(channel, user=user)
        assert status == 200
        assert [push["identifier"] for push in kept(server, channel, token=answer["token"])] == [channel]


def test_others_get_what_the_page_has_caused(server, app):
    app.broadcast(["public", "others"], socket=SOCKET)
    assert kept(server, "others", listener=SOCKET) == []
    assert len(kept(server, "others")) == 1


def test_socket_of_another_driver_leaves_nobody_out(server, app):
    assert app.broadcast(["public", "sockets"], socket="1234.5678") == []
    assert len(kept(server, "sockets")) == 1


def test_event_to_many_channels_is_sent_in_batches(server, app):
    assert app.broadcast(*[["public", f"many.{number}"] for number in range(150)]) == []
    assert [len(kept(server, f"many.{number}")) for number in (0, 99, 100, 149)] == [1] * 4


def test_event_to_an_encrypted_channel_is_refused(app):
    told = app.broadcast(["encrypted", "orders.5"])
    assert told["thrown"] == "Illuminate\\Broadcasting\\BroadcastException"
    assert "private channel" in told["message"]


def test_refusal_is_an_exception_of_laravel(app):
    told = app.broadcast(["public", "7up"])
    assert told["thrown"] == "Illuminate\\Broadcasting\\BroadcastException"
    assert "invalid_identifier" in told["message"]


# The route that Echo asks.


def test_class_of_channels_is_opened_one_by_one(app):
    assert claims(app.auth("private-open.a")[1]["token"])["identifiers"] == ["private-open.a"]


def test_token_is_for_this_channel_and_this_visitor(app):
    status, answer = app.auth("private-orders.7")
    assert (status, list(answer)) == (200, ["token"])
    made = claims(answer["token"])
    assert (made["identifiers"], made["sub"], made["exp"] - made["iat"]) == (["private-orders.7"], "7", 120)
    assert abs(made["iat"] - time.time()) < 600


@pytest.mark.parametrize(
    ("channel", "user"),
    [
        ("private-orders.8", 7),
        ("private-orders.7", None),
        ("private-unknown", 7),
        ("private-open.*", 7),
        ("private-open.a*", 7),
        ("private-open.a,private-orders", 7),
        ("private-open.a\n", 7),
        ("private-*", 7),
        ("*", 7),
        ("open.a", 7),
        ("", 7),
        ("presence-room.1", None),
    ],
)
def test_right_that_the_visitor_does_not_have_is_refused(app, channel, user):
    told = app.auth(channel, user)
    assert told["thrown"] == "Symfony\\Component\\HttpKernel\\Exception\\AccessDeniedHttpException"


def test_array_of_channels_is_refused(app):
    told = app.ask("auth", form={"channel_name": ["private-open.a"]}, user=7)
    assert told["thrown"] == "Symfony\\Component\\HttpKernel\\Exception\\AccessDeniedHttpException"


def test_visitor_is_disconnected_by_the_id_of_the_user(server, app):
    token = app.auth("private-orders.7")[1]["token"]
    with server.stream(f"identifiers=private-orders.7&token={token}") as listener:
        listener.joined()
        answer = server.request(
            "POST",
            "/37282591/disconnect",
            b'{"subject":"7"}',
            {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"},
        )
        assert answer.json == {"disconnected": 1}


def test_container_gives_one_client(server, app):
    assert app.ask("container") == [True, f"http://127.0.0.1:{server.port}"]
