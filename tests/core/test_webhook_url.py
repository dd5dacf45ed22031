"""The query of a webhook is not shown, and what is shown can be sent back."""

import pytest

from cometify.core.webhook_url import meant, shown, without_query

URL = "https://www.example.org/hook?token=abc&x=1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, "https://www.example.org/hook?…"),
        ("https://www.example.org/hook", "https://www.example.org/hook"),
        ("https://www.example.org?a?b", "https://www.example.org?…"),
    ],
)
def test_query_is_hidden(url, expected):
    assert shown(url) == expected
    assert without_query(url) == expected.removesuffix("?…")


def test_shown_url_that_comes_back_means_the_one_before():
    assert meant(shown(URL), URL) == URL


@pytest.mark.parametrize("before", [None, 7, "https://www.example.org/other?token=abc"])
@pytest.mark.parametrize("url", [shown(URL), "https://www.example.org/hook", None])
def test_any_other_url_is_taken_as_it_is(url, before):
    assert meant(url, before) == url
