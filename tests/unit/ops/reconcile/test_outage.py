"""When the last outage began, by what the ingresses show."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from ops.reconcile.outage import began_at, begin_of_last_outage
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.errors import DropstreamError
from schemas.settings import Settings
from tests.unit.ops.test_http_page import answering

TEXT = """# HELP dropstream_ingest_failing_began_timestamp_seconds When.
# TYPE dropstream_ingest_failing_began_timestamp_seconds gauge
dropstream_ingest_failing_began_timestamp_seconds{endpoint="acme",worker="0"} 1000.0
dropstream_ingest_failing_began_timestamp_seconds{endpoint="acme",worker="1"} 1200.0
dropstream_ingest_failing_began_timestamp_seconds{endpoint="other"} 5000.0
dropstream_ingest_failing_seconds{endpoint="acme"} 9000.0
"""


def test_of_several_workers_and_ingresses_the_last_beginning_counts() -> None:
    """Each ingress knows its own answers."""
    assert began_at([TEXT, TEXT.replace("1200.0", "1100.0")], "acme") == 1200.0


def test_an_endpoint_that_never_failed_had_no_outage() -> None:
    """Nor does an ingress without figures know of one."""
    assert began_at([TEXT], "silent") is None
    assert began_at([], "acme") is None


def settings(addresses: list[str]) -> Settings:
    """Of an installation with these ingresses."""
    listed = ", ".join(f'"{one}"' for one in addresses)
    return read_configuration(
        f"[console]\ningest_admin = [{listed}]\n[endpoints]\n",
        source="test",
        context=Context(environ={}, providers=set(discover())),
    )


async def asked(*pages: str) -> datetime:
    """What ingresses with these pages say of acme, and one that is away, which is asked first."""
    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(
                answering(f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n{page}".encode())
            )
            for page in pages
        ]
        addresses = [url.removeprefix("http://").removesuffix("/readyz") for url in urls]
        return await begin_of_last_outage(settings(["127.0.0.1:1", *addresses]), "acme")


async def test_it_begins_ten_minutes_before_the_first_failed_answer() -> None:
    """What was sent last before it, and clocks that differ, are covered; an ingress that is away is passed over."""
    later = TEXT.replace("1200.0", "1800.0")
    assert await asked(TEXT, later) == datetime(1970, 1, 1, 0, 20, tzinfo=UTC)


@pytest.mark.parametrize("page", ["<html>502 Bad Gateway</html>", '{"ready": true}', TEXT[:-8] + "\n", ""])
async def test_a_page_that_is_no_metrics_knows_of_none(page: str) -> None:
    """What another ingress says counts all the same; where none says anything, the person reads what to do."""
    assert await asked(page, TEXT) == datetime(1970, 1, 1, 0, 10, tzinfo=UTC)
    with pytest.raises(DropstreamError, match=r"no ingress at 127.0.0.1:1, .* remembers an outage of acme\n.*--from"):
        await asked(page.replace('"acme"', '"other"'))
