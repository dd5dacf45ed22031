"""The rules of an account: the spelling of names, for its pushes and its listeners."""

import pytest

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.account_rules import check_names, check_rules
from cometify.core.admission import admit, checked_already
from cometify.core.batch_admission import admit_batch
from cometify.core.errors import NOT_AUTHORIZED, Refused
from cometify.core.group import Group
from cometify.core.identifier import EXTENDED, names_from_query
from cometify.core.token import read_token
from tests.samples import refusal
from tests.wire import jwt

PLAIN_ACCOUNT = Account("1", ("secret",))
EXTENDED_ACCOUNT = Account("1", ("secret",), identifiers="extended")
WALL = 1_764_000_000.0


def draft(name, **more):
    return admit({"text": "x", "secret": 1, **more}, name, checked_already)


@pytest.mark.parametrize(
    ("pushed", "code", "words"),
    [
        (draft("a.b"), errors.INVALID_IDENTIFIER, "'a.b' is not an identifier because of the character '.'"),
        (draft("x" * 61), errors.INVALID_IDENTIFIER, "because it has 61 characters"),
        (draft("chat", event="a-b"), errors.INVALID_PARAMETER, "event must be a name: write 1 to 60"),
    ],
)
def test_plain_account_refuses_extended_names(pushed, code, words):
    check_rules(EXTENDED_ACCOUNT, pushed)
    refused = refusal(check_rules, PLAIN_ACCOUNT, pushed)
    assert refused.code is code
    assert words in refused.detail


def test_plain_names_are_in_order_in_both_accounts():
    for account in (PLAIN_ACCOUNT, EXTENDED_ACCOUNT):
        check_rules(account, draft("chat", event="created"))
        check_names(account, ["chat"])


def test_public_push_to_a_private_extended_name_is_refused():
    account = Account("1", ("secret",), private=("user-*",), identifiers="extended")
    check_rules(account, draft("user-7"))
    refused = refusal(check_rules, account, draft("User-7", secret=0))
    assert refused.code is errors.MUST_BE_SECRET


def test_batch_is_checked_by_the_rule_of_its_account():
    pushes = [{"identifier": name, "text": "x", "secret": 0} for name in ("chat", "a.b")]
    assert len(admit_batch(pushes, checked_already, EXTENDED_ACCOUNT)) == 2
    refused = refusal(admit_batch, pushes, checked_already, PLAIN_ACCOUNT)
    assert refused.code is errors.INVALID_IDENTIFIER
    assert refused.detail.startswith("Push 2 of the batch, nothing was pushed: 'a.b'")


def test_stranger_does_not_learn_the_rule_of_the_account():
    def refuse(_draft, _parameters):
        raise Refused(NOT_AUTHORIZED, "a stranger")

    assert refusal(admit, {"text": "x", "secret": 0, "event": "a-b"}, "a.b", refuse).code is NOT_AUTHORIZED


def test_names_of_a_listener_are_checked_again():
    check_names(EXTENDED_ACCOUNT, ["chat", "a.b"])
    refused = refusal(check_names, PLAIN_ACCOUNT, ["chat", "a.b"])
    assert refused.code is errors.INVALID_IDENTIFIER
    assert "'a.b'" in refused.detail


@pytest.mark.parametrize("named", ["order.42", "order.*", "user-*", "x" * 99 + "*"])
def test_token_names_what_its_account_may_have(named):
    token = jwt({"exp": WALL + 60, "identifiers": ["chat", named]}, "secret")
    assert read_token(token, ["secret"], WALL, EXTENDED).covers(named.rstrip("*") + "x" * named.endswith("*"))
    group = Group(names_from_query("chat"), token=token)
    assert group.right(EXTENDED_ACCOUNT, WALL).names == {"chat"}
    refused = refusal(group.right, PLAIN_ACCOUNT, WALL)
    assert refused.code is errors.INVALID_TOKEN
    assert "1 to 60" in refused.detail
    assert named.rstrip("*") not in refused.detail
