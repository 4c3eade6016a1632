"""The browser of the tests that see the console as a person does."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.browsing import Reader

# Chromium wants a user's name beside a token, and there is none.
_OF_NO_CONCERN = "verbose: [DOM] Password forms"


@pytest.fixture(scope="module")
def opened_browser() -> "Iterator[Reader]":
    """The browser, started once for the tests of a file."""
    from tests.support.browsing import reader  # noqa: PLC0415 the other tests need no playwright

    with reader() as opened:
        yield opened


@pytest.fixture
def browser(opened_browser: "Reader") -> "Iterator[Reader]":
    """The browser without pages; none of the test's may leave an error in its console, or ask another place."""
    opened_browser.complaints.clear()
    yield opened_browser
    for context in opened_browser.browser.contexts:
        context.close()
    assert [one for one in opened_browser.complaints if not one.startswith(_OF_NO_CONCERN)] == []
