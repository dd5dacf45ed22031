"""A node and its store: what is followed, and what stays when the store is away, broken or another one."""

import pytest
from twisted.logger import capturedLogs, formatEvent

from cometify.accounts.record import Record
from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.core.errors import Refused

MINE = Account("mine", ("secret of the file",))


def lines(events):
    return [formatEvent(event) for event in events]


def test_change_at_one_node_is_seen_by_another(node):
    one, two = node(), node()
    one.put("shop", listeners=5)
    two.until(lambda: two.accounts.get("shop") is not None)
    assert two.accounts.get("shop") == one.accounts.get("shop")
    assert one.accounts.hash() == two.accounts.hash()


def test_unchanged_account_stays_the_same_object(node):
    one = node()
    one.put("shop")
    before = one.accounts.get("shop")
    one.put("blog", listeners=5)
    assert one.accounts.get("shop") is before
    changes = one.changes
    one.look()
    assert one.changes == changes


def test_account_of_the_file_cannot_be_changed(node):
    one = node(MINE)
    one.look()
    with pytest.raises(Refused, match="account_conflict") as refused:
        one.put("mine", listeners=5)
    assert "change it there, and reload each node" in refused.value.detail
    assert one.accounts.get("mine") is MINE


def test_defaults_hold_for_kept_accounts_and_follow_a_reload(node):
    one = node(defaults={"listeners": 7})
    one.put("shop")
    one.put("blog", listeners=9)
    assert [one.accounts.get(key).listeners for key in ("shop", "blog")] == [7, 9]
    one.followed.replace(Settings((), defaults={"listeners": 8}))
    assert [one.accounts.get(key).listeners for key in ("shop", "blog")] == [8, 9]


def test_change_of_a_state_that_was_not_seen_is_refused(node):
    one, two = node(), node()
    record, _secret = one.put("shop")
    two.put("shop", listeners=5)
    with pytest.raises(Refused, match="account_conflict"):
        one.put("shop", if_match=record.tag, listeners=6)
    assert one.accounts.get("shop").listeners == 5
    one.put("shop", if_match=one.editor.record("shop").tag, listeners=6)
    two.look()
    assert two.accounts.get("shop").listeners == 6


def test_account_that_was_made_again_is_not_the_one_that_was_seen(node):
    one = node()
    seen, _secret = one.put("shop", listeners=5)
    one.wait(lambda: one.editor.remove("shop", "a test"))
    again, _secret = one.put("shop", listeners=6)
    assert (seen.created, seen.revision) == (again.created, again.revision)
    with pytest.raises(Refused, match="account_conflict"):
        one.put("shop", if_match=seen.tag, listeners=7)
    one.put("shop", if_match=again.tag, listeners=7)
    assert one.accounts.get("shop").listeners == 7


def test_record_of_an_older_version_keeps_its_tag():
    old = '{"settings":{},"api_secrets":["a"],"suspended":false,"created":5,"changed":5,"revision":3}'
    assert (Record.read(old).tag, Record.read(Record.read(old).text()).tag) == ("5-3", "5-3")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"listeners": 0}, "listeners: must be a whole number"),
        ({"listners": 5}, "listners: there is no such key"),
        ({"api_key": "other"}, "api_key: differs from the one of the path"),
        ({"api_secret_file": "/etc/passwd"}, "api_secret_file: names a place on the server"),
        ({"api_secret": "a secret that is long", "api_secrets": ["b"]}, "api_secret: give api_secret or api_secrets"),
        ({"api_secrets": ["one", "two", "three"]}, "api_secrets: must be an array of 1 to 2 strings"),
        ({"api_secret": "a\0b"}, "api_secret: must not have control characters, such as NUL or a tab: make one with"),
        ({"suspended": 1}, "suspended: must be true or false"),
        ({"push_burst": 5}, "push_burst: bounds nothing"),
    ],
)
def test_wrong_body_is_refused_as_the_file_would_be(node, body, words):
    one = node()
    with pytest.raises(Refused, match="invalid_parameter") as refused:
        one.put("shop", **body)
    assert refused.value.detail.startswith(words)
    assert len(one.accounts) == 0


def test_own_secret_can_be_brought_along(node):
    one = node()
    record, made = one.put("shop", api_secret="the secret that it had")
    assert (record.api_secrets, made) == (("the secret that it had",), None)
    assert "the secret that it had" not in repr(record)


def test_short_secret_is_warned_of_when_it_is_set(node):
    one = node()
    with capturedLogs() as events:
        one.put("shop", api_secret="weak one")
        one.put("shop", listeners=5)
        one.put("shop", api_secret="a secret that is long enough")
        one.put("long", api_secret="another one that is long enough")
    (warning,) = [line for line in lines(events) if "can be guessed" in line]
    assert warning.startswith("account shop: its API secret has fewer than 12 characters and can be guessed; make one")
    assert "weak one" not in warning


def test_no_log_line_holds_a_secret(node):
    one = node()
    with capturedLogs() as events:
        _record, made = one.put("shop")
        _record, second = one.wait(lambda: one.editor.rotate("shop", "127.0.0.1"))
        one.wait(lambda: one.editor.retire("shop", "old", "127.0.0.1"))
    assert lines(events)[-3:] == [
        "Account shop was set, by a test",
        "Account shop got a second secret, by 127.0.0.1",
        "Account shop has its old secret no longer, by 127.0.0.1",
    ]
    assert not [event for event in events if made in repr(event) or second in repr(event)]
