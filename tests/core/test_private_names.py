"""Private identifiers: which they are, and what a push to one of them must be."""

import pytest

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.admission import checked_already
from cometify.core.batch_admission import admit_batch
from cometify.core.group import Group
from cometify.core.identifier import Identifier, names_from_query
from cometify.core.md5_signature import secure_key
from cometify.core.private_names import check_secret, is_private
from cometify.core.push import Draft
from tests.samples import refusal
from tests.wire import jwt

PRIVATE = ("user_*", "orders")
ACCOUNT = Account("1", ("secret",), private=PRIVATE)
WALL = 1_764_000_000.0


def draft(name, secret=False):
    return Draft(Identifier.read(name), "x", secret, None, None)


@pytest.mark.parametrize(
    ("private", "name", "expected"),
    [
        (PRIVATE, "user_7", True),
        (PRIVATE, "user_", True),
        (PRIVATE, "user", False),
        (PRIVATE, "orders", True),
        (PRIVATE, "orders2", False),
        (("*",), "chat", True),
        ((), "chat", False),
    ],
)
def test_private_identifier_is_named_whole_or_by_its_prefix(private, name, expected):
    assert is_private(private, name) is expected


def test_public_push_to_a_private_identifier_is_refused():
    check_secret(PRIVATE, draft("ORDERS", secret=True))
    check_secret(PRIVATE, draft("chat"))
    refused = refusal(check_secret, PRIVATE, draft("ORDERS"))
    assert refused.code is errors.MUST_BE_SECRET
    assert refused.detail.startswith("ORDERS is private")
    assert "secret 1" in refused.detail


def test_batch_with_a_public_push_to_a_private_one_is_refused():
    pushes = [{"identifier": name, "text": "x", "secret": secret} for name, secret in (("chat", 0), ("orders", 1))]
    assert len(admit_batch(pushes, checked_already, ACCOUNT)) == 2
    pushes[1]["secret"] = 0
    refused = refusal(admit_batch, pushes, checked_already, ACCOUNT)
    assert refused.code is errors.MUST_BE_SECRET
    assert refused.detail.startswith("Push 2 of the batch, nothing was pushed: orders is private")


@pytest.mark.parametrize(
    ("proof", "wanted"),
    [
        ({}, ("chat",)),
        ({"secure_key": "wrong"}, ("chat",)),
        ({"secure_key": secure_key("1", "secret", "chat,Orders,USER_7")}, ("chat", "orders", "user_7")),
        ({"token": jwt({"exp": WALL + 9, "identifiers": ["orders"]}, "secret")}, ("chat", "orders")),
        ({"token": jwt({"exp": WALL + 9, "identifiers": ["user_*"]}, "secret")}, ("chat", "user_7")),
    ],
)
def test_group_joins_without_private_ones_that_it_has_no_right_to(proof, wanted):
    group = Group(names_from_query("chat,Orders,USER_7"), **proof)
    right = group.right(ACCOUNT, WALL)
    assert group.wanted(right) == wanted
    assert right.left_out == {"chat", "orders", "user_7"} - set(wanted)
    if "token" in proof:
        assert group.wanted(group.right_left(ACCOUNT, WALL + 9)) == ("chat",)
