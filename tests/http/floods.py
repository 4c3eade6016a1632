"""What strangers send who know no URL, in bursts, to a program of its own; and the most memory that it took."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from tests.bench.gauge import peak_rss_kib
from tests.support.ports import free_ports
from tests.support.programs import program
from tests.support.raw_http import RawClient, post

SIZE = 400_000
NOBODY = b"POST /webhooks/nobody HTTP/1.1\r\nHost: x\r\n"
FIELD = b"X-Long: " + b"y" * 8_000 + b"\r\n"
UNFINISHED = NOBODY + FIELD * (SIZE // len(FIELD))
GOOD = post("/webhooks/acme", b"good")
FLOODS = {
    "malformed": bytes(SIZE),
    "unfinished head": UNFINISHED,
    "body for nobody": NOBODY + b"Content-Length: %d\r\n\r\n" % (2 * SIZE) + bytes(SIZE),
    # Held until the delivery before it is answered, for whoever knows a URL without a token.
    "held behind a delivery": GOOD + UNFINISHED,
}
MEMORY_KIB_MAX = 192 * 1_024
_ENVIRON = {"SECRET": "a-secret-of-32-letters-or-more-it-is"}


async def flood(folder: Path, contents: Sequence[bytes], *, bursts: int, together: int) -> int:
    """Sends each of the contents from `together` connections at a time, so many times; returns the peak in KiB.

    Afterwards nothing is held, and a good delivery is answered 200.
    """
    port = free_ports(2)
    (folder / "dropstream.toml").write_text(
        '[kafka]\nbootstrap_servers = "127.0.0.1:1"\n'
        f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {port + 1}\nspool_dir = "{folder}/spool"\n'
        "header_timeout_ms = 1000\nanswer_timeout_ms = 1000\n"
        '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n'
    )
    async with program(folder, "ingest", admin_port=port + 1, environ=_ENVIRON) as running:
        await running.ready()
        for number in range(bursts):
            await asyncio.gather(*(_shout(port, contents[number % len(contents)]) for _ in range(together)))
        peak = peak_rss_kib([running.process.pid])
        await running.shows(
            *(f'dropstream_ingest_unread_bytes{{kind="{kind}"}} 0.0' for kind in ("heads", "bodies", "deferred"))
        )
        async with RawClient(port) as client:
            await client.send(GOOD)
            assert (await client.answer()).status == 200
    return peak


async def _shout(port: int, content: bytes) -> None:
    """Sends it all, as far as the server listens, and stays until the server closes."""
    with contextlib.suppress(OSError):
        async with RawClient(port) as client:
            await client.send(content)
            await client.rest()
