"""The file of SQLite: its rights, and what happens when it is locked, broken, gone, replaced or newer."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator

import pytest
from twisted.logger import capturedLogs, formatEvent

from cometify.core.errors import Refused
from tests.accounts.nodes import Node


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.db"


@pytest.fixture
def node(path) -> Iterator[Node]:
    made = Node(path)
    yield made
    made.stop()


def keys(node):
    return sorted(account.api_key for account in node.accounts)


def down(node):
    """Wait until the store counts as away; the reason that was logged."""
    with capturedLogs() as events:
        node.until(lambda: not node.follower.is_up)
        for _ in range(3):
            node.reactor.advance(0.25)
            node.reactor.pump()
    (line,) = map(formatEvent, events)
    assert line.startswith("Accounts cannot be read: ")
    return line


def test_only_the_owner_may_read_the_file(node, path):
    os.umask(os.umask(0))
    node.put("shop")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["accounts.db"]


def restore(path):
    """Put a copy of the file, which all users may read, in its place."""
    copy = path.with_name("restored.db")
    shutil.copyfile(path, copy)
    copy.chmod(0o644)
    copy.replace(path)


def rights_that_are_told(node):
    """The lines about rights that changes after a restore log."""
    with capturedLogs() as events:
        for number in range(3):
            node.put("shop", listeners=number + 5)
    assert node.accounts.get("shop").listeners == 7
    return [line for line in map(formatEvent, events) if "API secrets" in line]


def test_file_that_was_restored_gets_its_rights_back(node, path):
    node.put("shop")
    restore(path)
    (line,) = rights_that_are_told(node)
    assert line.startswith(
        f"{path}: has the API secrets of kept accounts and had the mode 0644. It has the mode 0600 now."
    )
    assert path.stat().st_mode & 0o777 == 0o600


def test_files_beside_it_get_the_same_rights(path):
    first = Node(path)
    first.put("shop")
    first.stop()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("UPDATE account SET record = record")
    beside = [path.with_name(f"accounts.db-{name}") for name in ("wal", "shm")]
    for file in (path, *beside):
        file.chmod(0o644)
    second = Node(path)
    assert len(rights_that_are_told(second)) == 3
    assert [file.stat().st_mode & 0o777 for file in (path, *beside)] == [0o600] * 3
    second.stop()
    other.close()


def test_rights_that_cannot_be_set_are_told_once(node, path, monkeypatch):
    node.put("shop")
    restore(path)

    def refuse(*_arguments, **_more):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", refuse)
    (line,) = rights_that_are_told(node)
    assert "the mode 0644, which cannot be changed (Operation not permitted): give the file to the user" in line


def test_removed_secret_is_not_in_the_file_any_longer(node, path):
    _record, made = node.put("shop")
    assert made.encode() in path.read_bytes()
    node.wait(lambda: node.editor.remove("shop", "a test"))
    assert made.encode() not in path.read_bytes()


def test_file_that_is_locked_changes_nothing_and_is_told(node, path):
    node.put("shop")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Refused, match="engine_unavailable") as refused:
        node.put("blog")
    assert "database is locked" in refused.value.detail
    assert (keys(node), node.follower.is_up) == (["shop"], False)
    other.execute("ROLLBACK")
    other.close()
    node.put("blog")
    assert (keys(node), node.follower.is_up) == (["blog", "shop"], True)


def test_file_that_is_gone_changes_nothing_and_comes_back(node, path):
    node.put("shop")
    path.rename(path.with_suffix(".away"))
    assert "accounts.db: No such file or directory. Those that are known stay." in down(node)
    assert keys(node) == ["shop"]
    assert not path.exists()
    path.with_suffix(".away").rename(path)
    node.until(lambda: node.follower.is_up)
    node.put("blog")
    assert keys(node) == ["blog", "shop"]


def test_file_beside_it_that_cannot_be_looked_at_changes_nothing(node, path):
    node.put("shop")
    beside = path.with_name("accounts.db-shm")
    beside.symlink_to(beside)
    restore(path)
    path.chmod(0o600)
    assert "accounts.db: Too many levels of symbolic links." in down(node)
    assert keys(node) == ["shop"]
    beside.unlink()
    node.until(lambda: node.follower.is_up)


def test_change_while_the_file_was_closed_is_found(node, path):
    node.put("shop", listeners=1)
    reader = Node(path)
    reader.look()
    away = path.with_suffix(".away")
    path.rename(away)
    assert "No such file" in down(reader)
    away.rename(path)
    node.put("shop", listeners=2)
    reader.until(lambda: reader.follower.is_up)
    assert reader.accounts.get("shop").listeners == 2
    reader.stop()


def test_broken_file_changes_nothing(node, path):
    node.put("shop")
    path.write_bytes(b"this is no database" * 1000)
    assert "file is not a database" in down(node)
    assert keys(node) == ["shop"]


def test_file_of_a_newer_version_is_not_touched(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    content = path.read_bytes()
    node = Node(path)
    node.until(lambda: node.follower._why is not None)
    assert (node.accounts.is_complete, path.read_bytes()) == (False, content)
    node.stop()


def test_another_file_that_lacks_accounts_is_not_taken(node, path):
    for number in range(20):
        node.put(f"site{number}")
    path.unlink()
    smaller = Node(path)
    smaller.put("site1")
    smaller.put("site2", listeners=5)
    assert "lacks 18 of 20 accounts, more than a tenth: site0, " in down(node)
    assert len(node.accounts) == 20
    assert node.accounts.get("site2").listeners is None
    for number in range(18):
        smaller.put(f"site{number}", listeners=6)
    node.until(lambda: node.follower.is_up)
    assert (len(node.accounts), node.accounts.get("site1").listeners) == (18, 6)
    smaller.stop()


ENDLESS = """{"settings":{},"api_secrets":[],"suspended":false,"created":1e400,"changed":1,"revision":1}"""


@pytest.mark.parametrize("broken", ["broken", "[" * 100_000, ENDLESS, "null"], ids=["text", "deep", "endless", "null"])
def test_record_that_cannot_be_read_costs_no_other_account(node, path, broken):
    node.put("shop")
    node.put("blog")
    with capturedLogs() as events:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE account SET record = ? WHERE api_key = 'shop'", (broken,))
            connection.execute("INSERT INTO account VALUES ('new', '{}'), (?, '{}')", ("\n\x1b[31m",))
        connection.close()
        node.put("blog", listeners=5)
    assert keys(node) == ["blog", "shop"]
    assert sorted(map(formatEvent, events))[:3] == [
        "Account blog was set, by a test",
        r"The record of account '\n\x1b[31m' cannot be used: it is not a record. The account is left out.",
        "The record of account new cannot be used: it is not a record. The account is left out.",
    ]
    with pytest.raises(Refused, match="account_conflict"):
        node.put("shop", listeners=5)


def test_setting_of_a_newer_version_is_left_out(node, path):
    node.put("shop", listeners=5)
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE account SET record = replace(record, '"listeners"', '"colour":1,"listeners"')""")
    connection.close()
    node.look()
    assert node.accounts.get("shop").listeners == 5
    node.until(lambda: "colour" in node.follower.record("shop"))


def test_accounts_are_known_before_anybody_is_served(node, path):
    node.put("shop")
    again = Node(path)
    assert again.accounts.find("shop") == node.accounts.get("shop")
    again.stop()
