"""A provider's API that does not answer as its documentation says: what is tried again, and what a person is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from ops.reconcile.rest import RestApi, open_rest, pages_left, rows_of
from ops.reconcile.source import ApiAccess, SourceError
from schemas.sections.endpoints import ApiSettings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class CutServer:
    """A server that reads each request and breaks off in the middle of its answer."""

    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    async def cut(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n")).split()[0])
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"rows"')
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def cut(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CutServer]:
    monkeypatch.setattr("ops.reconcile.rest._PAUSE_S", 0.0)
    made = CutServer()
    async with await asyncio.start_server(made.cut, "127.0.0.1") as listening:
        made.port = listening.sockets[0].getsockname()[1]
        yield made


@asynccontextmanager
async def api_at(port: int, outcomes: list[str]) -> AsyncIterator[RestApi]:
    access = ApiAccess(
        ApiSettings.model_validate({"key": "env:KEY"}), "a-made-up-key", now=lambda: NOON, on_request=outcomes.append
    )
    async with open_rest(access, base=f"http://127.0.0.1:{port}", headers={}, between_requests_s=0.0) as api:
        yield api


async def test_an_answer_that_breaks_off_is_asked_for_six_times(cut: CutServer) -> None:
    """A question changes nothing, so it is asked again; each try is counted, and the sentence holds no key."""
    outcomes: list[str] = []
    async with api_at(cut.port, outcomes) as api:
        with pytest.raises(SourceError, match=r"gives no whole answer \(ClientPayloadError\): try again later") as told:
            await api.get("orders")
    assert cut.requests == [b"GET"] * 6
    assert outcomes == ["no answer"] * 6
    assert "a-made-up-key" not in str(told.value)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_change_whose_answer_breaks_off_is_asked_for_once(cut: CutServer, method: str) -> None:
    """Whether it was done nobody knows, and a second time might do it twice; the sentence says so."""
    async with api_at(cut.port, []) as api:
        with pytest.raises(SourceError, match="whether it has done it is not known; ask again"):
            await api.change(method, "subscriptions")  # type: ignore[arg-type] # one of the two words
    assert cut.requests == [method.encode()]


@pytest.mark.parametrize(
    "answer", [{}, {"data": None}, {"data": {"rows": {"id": 1}}}, {"data": {"rows": [1]}}, {"data": [{"rows": []}]}]
)
def test_an_answer_without_rows_is_no_empty_list(answer: dict[str, object]) -> None:
    """A list that the API has renamed must not read as nothing left to fetch."""
    with pytest.raises(SourceError, match=r"the API answers no rows in data\.rows: its documentation has changed"):
        rows_of(answer, "data", "rows")
    assert rows_of({"data": {"rows": [{"id": 1}]}}, "data", "rows") == [{"id": 1}]
    assert rows_of({"data": {"rows": []}}, "data", "rows") == []


def test_a_list_that_turns_in_a_circle_comes_to_an_end() -> None:
    """Ten thousand pages are a list, and one more is none."""
    assert pages_left(10_000) == 10_000
    with pytest.raises(SourceError, match="the API gives more than 10000 pages: its list turns in a circle"):
        pages_left(10_001)
