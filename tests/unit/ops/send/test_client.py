"""What `dropstream send` says of an ingress that does not answer as one does."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ops.send.client import Outgoing, deliver_one, open_session
from schemas.errors import DropstreamError
from schemas.sections.endpoints import EndpointSettings

ACME = EndpointSettings(provider="shipstream", signature="verify-if-present")


async def told(read: Callable[[asyncio.StreamReader], Awaitable[bytes]]) -> str:
    """The sentence for a person, where a port reads so much of a request, and ends the connection without an answer."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with open_session() as session:
            with pytest.raises(DropstreamError) as error:
                await deliver_one(session, url, "acme", ACME, outgoing=Outgoing(b"{}", {}))
        await ended.wait()
    return str(error.value).replace(url, "URL")


async def test_an_answer_that_never_comes_is_told_with_the_time_that_was_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The verb ends, and does not wait for ever."""
    monkeypatch.setattr("ops.send.client._ANSWER_TIMEOUT_S", 0.3)
    assert await told(lambda reader: reader.read()) == "URL did not answer within 0 s"


async def test_a_connection_that_ends_before_the_answer_is_told() -> None:
    """Something that is no ingress listens there, or it was killed."""
    assert await told(lambda reader: reader.readuntil(b"\r\n\r\n")) == "URL broke off: ServerDisconnectedError"
