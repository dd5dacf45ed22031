"""The examples in which visitors log in, and get secret pushes: the guestbook in Flask, and the orders in Django."""

import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from threading import Thread
from typing import Any

import attrs
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.apps import App, account_of, copied, loading, python, running
from tests.browser.test_life import listeners
from tests.command.programs import Program
from tests.conftest import PYTHONPATH, Server
from tests.wire import Stream, eventually, secure_key

PASSWORD = "the password of the test"


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Callable[[], BrowserContext]]:
    """visitor(): another visitor, with cookies of their own."""
    made: list[BrowserContext] = []

    def visitor() -> BrowserContext:
        made.append(browser.new_context())
        made[-1].set_default_timeout(60_000)
        return made[-1]

    yield visitor
    for context in made:
        context.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def rows(page: Page) -> Locator:
    return page.locator("ul > li")


def send(page: Page, text: str) -> None:
    """Write into the form of the page, and send it."""
    page.locator("input[maxlength]").fill(text)
    page.locator("input[maxlength] + button").click()


def first_push(stream: Stream) -> dict[str, Any]:
    while (frame := stream.frame())["type"] != "push":
        pass
    return frame


@pytest.fixture(scope="module")
def guestbook(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[App]:
    folder = copied("guestbook", tmp_path_factory.mktemp("guestbook"), server)
    variables = account_of(server) | {"MODERATOR_PASSWORD": PASSWORD}
    command = python("-m", "flask", "run", "--port")
    with running(App(folder, lambda port: [*command, str(port)], variables)) as app:
        yield app


@contextmanager
def relay(app: App, database: str) -> Iterator[None]:
    """Send the outbox of an app. The relay is killed at the end, as in a power cut."""
    with Program("relay", f"sqlite:///{app.folder / database}", **app.environment) as program:
        program.error("owns the outbox")
        yield


def query(app: App, database: str, statement: str) -> list[Any]:
    """Return the first column of all rows."""
    with closing(sqlite3.connect(app.folder / database)) as db:
        return [row[0] for row in db.execute(statement)]


def moderators_page(context: BrowserContext, app: App) -> Page:
    page = context.new_page()
    page.goto(f"{app.url}login")
    page.locator("input").fill(PASSWORD)
    page.locator("button").click()
    page.wait_for_url(app.url)
    return page


def press(page: Page, text: str, name: str) -> None:
    page.locator("li", has_text=text).get_by_text(name, exact=True).click()


def without_buttons(page: Page) -> list[str]:
    return [re.sub("(Approve)?EditDelete$", "", text) for text in rows(page).all_text_contents()]


def test_guestbook_shows_visitors_what_moderators_approve(
    server: Server, guestbook: App, visitor: Callable[[], BrowserContext], stack: ExitStack
):
    stack.enter_context(relay(guestbook, "guestbook.db"))
    before = listeners(server)
    page = visitor().new_page()
    page.goto(guestbook.url)
    moderator = moderators_page(visitor(), guestbook)
    eventually(lambda: listeners(server) == before + 2)
    with server.stream("identifiers=moderators,guestbook") as stranger:
        send(page, "<b>one</b>")
        expect(rows(moderator)).to_have_count(1)
        send(page, "two")
        expect(rows(moderator)).to_have_count(2)
        assert without_buttons(moderator) == ["<b>one</b>", "two"]
        expect(rows(page)).to_have_count(0)
        press(moderator, "one", "Approve")
        expect(rows(page)).to_have_text(["<b>one</b>"])
        # Without a token nobody hears of entries that are not approved.
        assert first_push(stranger)["data"]["text"] == "<b>one</b>"
    moderator.once("dialog", lambda dialog: dialog.accept("edited"))
    press(moderator, "one", "Edit")
    expect(rows(page)).to_have_text(["edited"])
    # An entry is deleted, and another is approved, after the page was rendered and before it listens.
    late = visitor().new_page()

    def meanwhile() -> None:
        press(moderator, "edited", "Delete")
        press(moderator, "two", "Approve")
        expect(rows(page)).to_have_text(["two"])

    loading(late, re.compile(r"cometify\.min\.js"), meanwhile)
    late.goto(guestbook.url)
    expect(rows(late)).to_have_text(["two"])
    server.stop()
    send(page, "while the server is away")
    server.start()
    expect(rows(moderator)).to_have_count(2)  # the server is empty now, so the pages are told a gap
    press(moderator, "away", "Approve")
    for each in (page, late):
        expect(rows(each)).to_have_text(["two", "while the server is away"])


def test_guestbook_that_is_killed_pushes_what_it_committed(server: Server, guestbook: App):
    def write() -> None:
        with suppress(OSError, EOFError):
            for number in range(1000):
                guestbook.post("entries", {"text": f"number {number}"})

    thread = Thread(target=write)
    thread.start()
    written = "SELECT text FROM entries WHERE text LIKE 'number %' ORDER BY id"
    eventually(lambda: len(query(guestbook, "guestbook.db", written)) >= 10)
    guestbook.kill()  # between a commit and its push, because no relay runs
    thread.join(20)
    guestbook.start()
    with server.stream(f"identifiers=moderators&secureKey={secure_key('moderators')}") as stream:
        with relay(guestbook, "guestbook.db"):
            eventually(lambda: query(guestbook, "guestbook.db", "SELECT count(*) FROM cometify_outbox") == [0])
        server.pushed("moderators", "the last push")
        heard = []
        while "text" not in (push := first_push(stream)):
            heard.append(push["data"]["text"])
    assert [text for text in heard if text.startswith("number")] == query(guestbook, "guestbook.db", written)


def test_guestbook_lets_only_moderators_moderate(guestbook: App, visitor: Callable[[], BrowserContext]):
    assert guestbook.post("entries/1/approve", {}) == 403
    assert guestbook.post("login", {"password": "wrong"}) == 403
    context = visitor()
    assert context.request.get(f"{guestbook.url}push-token").status == 403
    page = moderators_page(context, guestbook)
    assert context.request.get(f"{guestbook.url}push-token").status == 200
    page.get_by_text("Log out").click()
    page.get_by_text("Moderators").wait_for()
    assert context.request.get(f"{guestbook.url}push-token").status == 403


PREPARE = """
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
call_command('migrate', verbosity=0)
for name in ('ann', 'bob', 'eve'):
    client = Client()
    client.force_login(User.objects.create_user(name, is_staff=name == 'eve', is_superuser=name == 'eve'))
    print(client.cookies['sessionid'].value)
User.objects.create_user('cid', password='cid')
"""
"""Makes the users, and prints the cookies of those who are logged in already, because hashing passwords takes long."""


def manage(app: App, *arguments: str) -> str:
    """Run a command of the project. Returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, **app.environment}
    command = python("manage.py", *arguments, "-v", "0")
    done = subprocess.run(command, cwd=app.folder, env=environment, check=True, timeout=120, stdout=subprocess.PIPE)
    return done.stdout.decode()


@attrs.frozen
class Orders:
    """The running project, with the cookies of users who are logged in."""

    app: App
    cookies: dict[str, str]

    def page_of(self, context: BrowserContext, user: str) -> Page:
        """Open the page of a user."""
        context.add_cookies([{"name": "sessionid", "value": self.cookies[user], "url": self.app.url}])
        page = context.new_page()
        page.goto(self.app.url)
        return page


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Orders]:
    folder = copied("orders", tmp_path_factory.mktemp("orders"), server)
    variables = account_of(server) | {"SECRET_KEY": "of the test"}
    command = python("manage.py", "runserver", "--noreload")
    app = App(folder, lambda port: [*command, str(port)], variables)
    cookies = manage(app, "shell", "-c", PREPARE).split()
    with running(app):
        yield Orders(app, dict(zip(("ann", "bob", "eve"), cookies, strict=True)))


def log_in(context: BrowserContext, app: App, user: str) -> Page:
    page = context.new_page()
    page.goto(app.url)
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(user)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url(app.url)
    return page


def save(staff: Page, app: App, order: int, state: str) -> None:
    """Change an order on the site of the staff."""
    staff.goto(f"{app.url}admin/shop/order/{order}/change/")
    staff.select_option("#id_state", state)
    staff.locator("[name=_save]").click()


def test_orders_change_on_the_page_of_their_customer(
    server: Server, orders: Orders, visitor: Callable[[], BrowserContext], stack: ExitStack
):
    stack.enter_context(relay(orders.app, "orders.db"))
    before = listeners(server)
    customer = visitor()
    ann, bob = orders.page_of(customer, "ann"), orders.page_of(visitor(), "bob")
    eventually(lambda: listeners(server) == before + 2)
    with server.stream("identifiers=user_1,user_2,other") as stranger:
        send(ann, "<b>tea</b>")
        send(bob, "milk")
        expect(rows(ann)).to_have_text(["<b>tea</b>: new"])
        expect(rows(bob)).to_have_text(["milk: new"])
        server.pushed("other", "public")
        assert first_push(stranger)["text"] == "public"  # without a token nobody hears of orders
    staff = orders.page_of(visitor(), "eve")
    save(staff, orders.app, 1, "paid")
    expect(rows(ann)).to_have_text(["<b>tea</b>: paid"])
    # The state changes after the page was rendered and before it listens.
    late = customer.new_page()
    loading(late, re.compile(r"cometify\.min\.js"), lambda: manage(orders.app, "set_state", "1", "sent"))
    late.goto(orders.app.url)
    expect(rows(late)).to_have_text(["<b>tea</b>: sent"])
    expect(rows(ann)).to_have_text(["<b>tea</b>: sent"])
    server.stop()
    send(ann, "cake")
    save(staff, orders.app, 2, "cancelled")
    server.start()
    for page, shown in ((ann, ["<b>tea</b>: sent", "cake: new"]), (late, ["<b>tea</b>: sent", "cake: new"])):
        expect(rows(page)).to_have_text(shown)  # the server is empty now, so the pages are told a gap
    expect(rows(bob)).to_have_text(["milk: cancelled"])


def test_customer_who_logs_out_hears_no_more(
    server: Server, orders: Orders, visitor: Callable[[], BrowserContext], stack: ExitStack
):
    stack.enter_context(relay(orders.app, "orders.db"))
    before = listeners(server)
    customer = visitor()
    page, other = log_in(customer, orders.app, "cid"), customer.new_page()
    other.goto(orders.app.url)
    eventually(lambda: listeners(server) == before + 2)
    send(page, "tea")
    expect(rows(other)).to_have_text(["tea: new"])
    page.get_by_text("Log out").click()
    other.get_by_text("no longer live").wait_for()
    assert listeners(server) == before
    # Tokens of the second of a disconnect are refused: see docs/disconnecting.md. A person takes longer to log in.
    ended = int(time.time())
    eventually(lambda: int(time.time()) > ended)
    again = log_in(customer, orders.app, "cid")
    send(again, "cake")
    expect(rows(again)).to_have_text(["tea: new", "cake: new"])
    expect(rows(other)).to_have_text(["tea: new"])
