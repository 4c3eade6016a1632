"""Malformed HTTP on the ports that `ops` serves: counted lines, and no traceback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from ops.service.admin import admin
from ops.service.connection_log import ConnectionLog
from ops.service.running_configuration import begun
from schemas.health import Health
from tests.support.raw_http import RawClient

MALFORMED = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the first bytes of TLS
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"\xff\xfe\xfd\r\n\r\n",
)


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """An admin port; gives its number."""
    registry = CollectorRegistry()
    health, running = Health(True, True, {}), begun(Path("dropstream.toml"), "")
    async with admin(host="127.0.0.1", port=0, registry=registry, health=lambda: health, running=running) as port:
        yield port


async def test_an_admin_port_counts_malformed_requests(caplog: pytest.LogCaptureFixture) -> None:
    """Each is answered 400 and the connection is closed; the log has one counted line for the first of them."""
    with capture_logs() as lines:
        async with served() as port:
            for _ in range(3):
                for content in MALFORMED:
                    async with RawClient(port) as client:
                        await client.send(content)
                        assert (await client.answer()).status == 400
                        assert await client.closed()
    assert lines == [{"event": "requests_malformed", "log_level": "info", "port": "admin", "count": 1}]
    assert caplog.records == []


def test_a_flood_is_a_line_in_ten_seconds() -> None:
    """The first is told at once, those of the next ten seconds together."""
    clock = [0.0]
    log = ConnectionLog("console", now=lambda: clock[0])
    with capture_logs() as lines:
        for at in (0.0, 1.0, 9.9, 10.0, 19.9):
            clock[0] = at
            log.exception("Error handling request from %s", "192.0.2.7", exc_info=BadHttpMessage("bad"))
    assert [line["count"] for line in lines] == [1, 3]


@pytest.mark.parametrize("left", [ConnectionResetError(), web.RequestPayloadError()])
def test_a_client_that_leaves_is_no_fault(left: Exception) -> None:
    """A connection that ends in the middle is counted, as what is no HTTP."""
    with capture_logs() as lines:
        ConnectionLog("admin").exception("Unhandled exception", exc_info=left)
    assert [line["event"] for line in lines] == ["requests_malformed"]


def test_a_fault_of_ours_is_told_whole() -> None:
    """An error of the program itself is logged with its traceback."""
    fault = ZeroDivisionError()
    with capture_logs() as lines:
        ConnectionLog("admin").exception("Error handling request from %s", "192.0.2.7", exc_info=fault)
    assert lines == [
        {
            "event": "request_failed",
            "log_level": "error",
            "port": "admin",
            "message": "Error handling request from 192.0.2.7",
            "exc_info": fault,
        }
    ]
