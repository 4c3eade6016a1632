"""Certificates are used as they lie in their files when a connection begins."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.kafka.login.tls import RenewedContext, TlsFiles
from tests.support.ports import free_ports
from tests.support.security.certificates import Authority, make_authority


@asynccontextmanager
async def server(authority: Authority, port: int) -> AsyncIterator[None]:
    """Takes TLS connections under a certificate of this authority, and says "hello"."""
    identity = authority.sign("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", port, ssl=context):
        yield


async def greeting(context: ssl.SSLContext, port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return await reader.readexactly(5)
    finally:
        writer.close()


async def test_a_new_authority_counts_and_the_old_one_does_not(tmp_path: Path) -> None:
    """One context trusts whom its file names at the time of each connection; an unusable file changes nothing."""
    before, after = (make_authority(tmp_path / name, name) for name in ("before", "after"))
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(before.certificate.read_bytes())
    port = free_ports(2)
    context = RenewedContext(TlsFiles(str(trusted), None, None))
    async with server(before, port), server(after, port + 1):
        assert await greeting(context, port) == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeting(context, port + 1)
        with capture_logs() as told:
            trusted.write_text("half a certificate")
            assert await greeting(context, port) == b"hello"
            assert await greeting(context, port) == b"hello"
            trusted.write_bytes(after.certificate.read_bytes())
            assert await greeting(context, port + 1) == b"hello"
        assert [line["event"] for line in told] == ["certificates_not_renewed", "certificates_renewed"]
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeting(context, port)
