"""The documentation in a browser: the search finds pages, and the policy of the server forbids nothing that they need."""

import pytest

from tests.conftest import Server
from tests.site.conftest import site  # noqa: F401 - a fixture


@pytest.fixture
def docs(site, make_server) -> Server:  # noqa: F811 - the fixture
    """A server that starts when the site is built."""
    return make_server()


def test_search_of_the_documentation_finds_pages(docs, context):
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{docs.port}/docs/")
    page.get_by_role("searchbox").or_(page.locator("input[name=q]")).first.fill("heartbeat")
    page.keyboard.press("Enter")
    found = page.locator("#search-results li a")
    found.first.wait_for()
    found.first.click()
    page.locator("article h1").wait_for()
    assert page.url.startswith(f"http://127.0.0.1:{docs.port}/docs/")
    assert complaints == []
