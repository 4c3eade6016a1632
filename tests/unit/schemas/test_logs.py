"""What the log shows of an exception."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from schemas.logs import configure_logging


@pytest.fixture
def _log_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("_log_restored")
@pytest.mark.parametrize("json", [True, False])
@pytest.mark.parametrize("foreign", [True, False])
def test_a_traceback_shows_no_values(json: bool, foreign: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception is told with its lines of code, by a library's logger too, and never with what variables held."""
    configure_logging(json=json)
    password = "".join(["tiger", "lily"])
    try:
        _ = 1 / (len(password) - 9)
    except ZeroDivisionError:
        (logging.getLogger("library") if foreign else structlog.get_logger()).exception("failed")
    told = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in told
    assert "test_a_traceback_shows_no_values" in told
    assert "tigerlily" not in told
