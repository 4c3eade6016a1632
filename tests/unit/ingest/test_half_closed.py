"""A client that ends its sending side behind a request: its answer comes, in whichever turn of the loop it ends it."""

import asyncio
import socket

import pytest

from tests.http.door import Door, Tally, quiet_logs

_CHUNKED = (
    b"POST /webhooks/acme HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"
)
_WHOLE = b"POST /webhooks/acme HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nwhole"
_ANSWER_TURNS = 40


async def turns(count: int) -> None:
    """So many turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("request_bytes", [_WHOLE, _CHUNKED, _CHUNKED * 2], ids=["fast", "full", "pipeline"])
@pytest.mark.parametrize("after_turns", range(9))
async def test_who_ends_its_side_in_any_turn_is_answered(request_bytes: bytes, after_turns: int) -> None:
    """Also between the turn in which a request is taken from the queue and that in which it is handled."""
    with quiet_logs(Tally()):
        door = Door()
        line, taken = await door.connect()
        with line:
            line.send(request_bytes)
            await turns(after_turns)
            line.shutdown(socket.SHUT_WR)
            await turns(_ANSWER_TURNS)
            answers = line.recv(65_536)
            assert answers.count(b"HTTP/1.1 200 OK\r\n") == len(taken) == request_bytes.count(b"POST")
        await turns(_ANSWER_TURNS)
        assert door.server.open_count == 0
        await door.close()
