"""docs/page-load.md: no change is missed while a page loads, with the samples, real databases and a real browser."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from bench.rig.ports import free_port
from bench.rig.postgres import running_postgres
from tests.browser.guestbook import (
    BEFORE,
    BETWEEN,
    EVENT,
    INSERT,
    LIVE,
    LOADING,
    READ,
    Changes,
    Database,
    Postgres,
    SQLite,
    replaced,
)
from tests.browser.publishers import INTERPRETERS, SAMPLES, fill, run
from tests.browser.site import Site
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET

PATIENCE = {".php": "'timeout' => 2", ".py": "timeout=2", ".mjs": "timeout(2000)", ".sh": "--max-time 2"}
"""The words with which each sample waits two seconds for the position. On a busy machine the changes take longer."""
SAMPLES_AND_DATABASES = [
    *((name, SQLite) for name in ("page-load.php", "page-load.py", "page-load.sh")),
    *((f"page-load{ending}", Postgres) for ending in PATIENCE),
]


@pytest.fixture(scope="module")
def socket_folder() -> Iterator[Path]:
    with running_postgres() as folder:
        yield folder


@pytest.fixture
def database(request: pytest.FixtureRequest, socket_folder: Path, tmp_path: Path) -> Database:
    return SQLite(tmp_path) if request.param is SQLite else Postgres(socket_folder)


def push(server: Server, row: dict[str, Any], **more: Any) -> None:
    """Push a row as the documentation says: the whole row as JSON."""
    body = json.dumps({"secret": 0, "data": row, **more}).encode()
    headers = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"}
    answer = server.request("POST", f"/{API_KEY}/push/guestbook", body, headers)
    assert answer.status == 200, answer


@contextmanager
def position_server(server: Server, after: Callable[[], None]) -> Iterator[int]:
    """Answer requests for a position with that of the server, and call `after` once it is taken. Yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = server.request("GET", self.path)
            after()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_args: Any) -> None:
            pass

    relay = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=relay.handle_request)
    thread.start()
    yield relay.server_port
    thread.join(30)
    relay.server_close()


def run_sample(name: str, database: Database, port: int, folder: Path) -> Any:
    """Run a sample with this database and a push server on this port. Returns what it printed."""
    path = folder / name
    ending = PATIENCE[path.suffix]
    sample = replaced(fill((SAMPLES / name).read_text(), port), ending, ending.replace("2", "60", 1))
    path.write_text(database.adapt(sample))
    if path.suffix == ".mjs":
        packages = next(found for up in Path(__file__).parents if (found := up / "js/node_modules/pg").exists())
        (folder / "node_modules").symlink_to(packages.parent)
    command = {**INTERPRETERS, ".py": sys.executable}[path.suffix]
    return json.loads(run([command, str(path)]))


def texts(page: Page) -> list[str]:
    return sorted(page.locator("#entries > li").all_inner_texts())


@pytest.mark.parametrize(("name", "database"), SAMPLES_AND_DATABASES, indirect=["database"])
def test_sample_misses_no_change_however_it_falls(
    server: Server, site: Site, context: BrowserContext, tmp_path: Path, name: str, database: Database
):
    changes = Changes(database)
    changes.at(BEFORE, lambda row: push(server, row))
    with position_server(server, lambda: changes.at(BETWEEN, lambda row: push(server, row))) as port:
        answer = run_sample(name, database, port, tmp_path)
    changes.at(LOADING, lambda row: push(server, row))
    page = context.new_page()
    page.route("**/guestbook.json", lambda route: route.fulfill(json=answer))
    page.goto(site.add(fill((SAMPLES / "page-load.html").read_text(), server.port)))
    push(server, database.insert("the page listens"))
    expect(page.get_by_text("the page listens")).to_be_visible()
    changes.at(LIVE, lambda row: push(server, row))
    push(server, database.insert("the last push"))
    expect(page.get_by_text("the last push")).to_be_visible()
    assert texts(page) == sorted(row["text"] for row in database.rows() if not row["deleted"])
    expect(page.locator("#gap")).to_be_hidden()


@pytest.mark.parametrize("name", [f"page-load{ending}" for ending in PATIENCE])
def test_sample_takes_the_clock_if_the_server_is_away(socket_folder: Path, tmp_path: Path, name: str):
    database = Postgres(socket_folder)
    row = database.insert("hello")
    began = int(time.time())
    answer = run_sample(name, database, free_port(), tmp_path)
    assert began - 5 <= answer["position"] / 1_000_000 <= time.time() - 5
    assert answer["rows"] == [row]


# Numbers of rows, and numbers of events.


def push_ids(server: Server, query: str) -> list[Any]:
    """Join, and push without a number. Returns the push_ids that come, up to that push."""
    with server.stream(f"identifiers={query}") as stream:
        server.pushed(query.partition(":")[0], "the last push")
        found = []
        while (frame := stream.frame()).get("text") != "the last push":
            found += [frame["push_id"]] if frame["type"] == "push" else []
        return found


def test_row_that_commits_late_is_lost_by_ids_of_rows(server: Server, socket_folder: Path):
    database = Postgres(socket_folder)
    first = database.insert("old")["id"]
    late, early = database.begin(INSERT, text="late"), database.begin(INSERT, text="early")
    server.pushed("rows", "early", push_id=early.commit()["id"])
    newest = max(row["id"] for row in database.rows())
    server.pushed("rows", "late", push_id=late.commit()["id"])
    assert push_ids(server, f"rows:{newest}") == []
    assert push_ids(server, f"rows:{first}") == [first + 2, first + 1]


def count_event(connection: "psycopg.Connection[Any]", row: int, numbers: list[int]) -> None:
    """Change a row and number the event, as the documentation does, up to the commit."""
    assert EVENT.count("id = 1") == 2
    event = EVENT.replace("id = 1", f"id = {row}")
    *statements, commit = event.strip().removesuffix(";").split(";")
    assert commit.strip() == "COMMIT"
    for statement in statements:
        cursor = connection.execute(statement)
    counted = cursor.fetchone()
    assert (counted["data"]["id"], counted["data"]["text"]) == (row, "Hi")
    numbers.append(counted["id"])


def read_page(connection: "psycopg.Connection[Any]") -> tuple[int, list[str]]:
    """Return the newest number and the texts of the rows, as the documentation reads them."""
    begin, newest, rows, commit = READ.strip().removesuffix(";").split(";")
    connection.execute(begin)
    number = connection.execute(newest).fetchone()["last"]
    texts = [row["text"] for row in connection.execute(rows)]
    connection.execute(commit)
    return number, texts


def test_number_of_an_event_is_never_seen_before_a_lower_one(socket_folder: Path):
    database = Postgres(socket_folder)
    rows = [database.insert("Hello")["id"] for _ in range(2)]
    numbers: list[int] = []
    with database.connect() as first, database.connect() as second, database.connect() as reader:
        for connection in (first, second, reader):
            connection.autocommit = True  # the documentation has a BEGIN of its own
        count_event(first, rows[0], numbers)
        thread = threading.Thread(target=count_event, args=(second, rows[1], numbers))
        thread.start()
        while not reader.execute("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchall():
            time.sleep(0.01)
        assert (numbers, *read_page(reader)) == ([1], 0, ["Hello", "Hello"])
        first.execute("COMMIT")
        thread.join(30)
        assert (numbers, *read_page(reader)) == ([1, 2], 1, ["Hi", "Hello"])
        second.execute("ROLLBACK")
        count_event(second, rows[1], numbers)
        second.execute("COMMIT")
        assert (numbers, *read_page(reader)) == ([1, 2, 2], 2, ["Hi", "Hi"])  # no hole in the numbers
