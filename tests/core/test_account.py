"""The limits of an account that follow from others."""

import pytest

from cometify.core.account import DEFAULT_BURST, Account
from cometify.core.batch_admission import MAX_BATCH


@pytest.mark.parametrize(
    ("limits", "burst"),
    [
        ({}, DEFAULT_BURST),
        ({"pushes_per_second": 1}, DEFAULT_BURST),
        ({"pushes_per_second": 5000}, 5000),
        ({"pushes_per_second": 5000, "push_burst": 200}, 200),
    ],
)
def test_burst_is_the_one_given_or_a_second_or_a_batch(limits, burst):
    assert Account("key", ("secret",), **limits).burst == burst


def test_whole_batch_fits_into_the_default_burst():
    assert DEFAULT_BURST >= MAX_BATCH
