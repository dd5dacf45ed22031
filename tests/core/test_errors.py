"""The table of error codes, and the exception that carries a row of it."""

import pytest

from cometify.core import errors
from tests.samples import vectors

TABLE = [code for code in vars(errors).values() if isinstance(code, errors.Code)]


def test_published_table_is_the_whole_table():
    published = vectors("codes")
    assert published == [
        {"name": code.name, "status": code.status, "close": code.close, "retry": code.retry} for code in TABLE
    ]


def test_names_are_unique_and_those_of_the_constants():
    assert len({code.name for code in TABLE}) == len(TABLE)
    assert all(getattr(errors, code.name.upper()) is code for code in TABLE)


@pytest.mark.parametrize("code", TABLE, ids=lambda code: code.name)
def test_hundred_of_the_close_code_agrees_with_retry(code):
    assert code.close // 100 in {40, 41, 42}
    assert (code.retry is None) == (code.close // 100 == 40)


@pytest.mark.parametrize("code", TABLE, ids=lambda code: code.name)
def test_only_429_and_503_have_a_retry(code):
    assert 400 <= code.status <= 599
    assert (code.retry is not None) == (code.status in {429, 503})
    assert code.title


def test_refusal_takes_its_retry_from_the_table():
    refused = errors.Refused(errors.TOO_MANY_LISTENERS, "Close one.")
    assert (refused.code, refused.detail, refused.retry, refused.allow) == (
        errors.TOO_MANY_LISTENERS,
        "Close one.",
        10,
        None,
    )
    assert str(refused) == "too_many_listeners"


@pytest.mark.parametrize("retry", [0, 7])
def test_refusal_may_have_its_own_retry_even_zero(retry):
    assert errors.Refused(errors.DRAINING, "", retry=retry).retry == retry


def test_refusal_may_name_the_allowed_methods():
    assert errors.Refused(errors.METHOD_NOT_ALLOWED, "", allow="GET, POST").allow == "GET, POST"
