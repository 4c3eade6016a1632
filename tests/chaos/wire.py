"""A wire between the ingress and its broker that can be cut or slow: all that Kafka's clients say goes through it."""

import asyncio
import contextlib
from types import TracebackType

_CHUNK_BYTES = 65_536


class Wire:
    """Forwards `port` of the loopback to `target`, until it is cut or broken."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.delay_s = 0.0  # How much later everything arrives, each way.
        self._target = target
        self._server: asyncio.Server | None = None
        self._whole = asyncio.Event()
        self._whole.set()
        self._broken = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reset()
        if self._server is not None:
            self._server.close()

    def cut(self) -> None:
        """From now on nothing passes, and nobody is told: connections stay open."""
        self._whole.clear()

    def reset(self) -> None:
        """Every connection ends at once, and new ones end when they begin."""
        self._broken = True
        self._whole.set()
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """All is as before; bytes that were held back pass."""
        self.delay_s = 0.0
        self._broken = False
        self._whole.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._broken:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, there_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))
        finally:
            self._writers -= pair
            for one in pair:
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards one direction; it is a queue, so that a delay costs each byte time and the wire no throughput."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = loop.create_task(self._arrive(under_way, writer))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(_CHUNK_BYTES):
                    under_way.put_nowait((loop.time() + self.delay_s, data))
        finally:
            arriving.cancel()
        # The other direction ends with this one.
        writer.transport.abort()

    async def _arrive(self, under_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                due_at, data = await under_way.get()
                await asyncio.sleep(max(0.0, due_at - asyncio.get_running_loop().time()))
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
