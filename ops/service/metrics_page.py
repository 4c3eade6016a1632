"""The page `/metrics` of a process, made in pieces so that the process goes on with its work meanwhile.

Between pieces the event loop turns: deliveries and probes are answered while a page of ten thousand endpoints is made.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, GCCollector, Metric, ProcessCollector
from prometheus_client.registry import Collector

from schemas.metrics_text import TextInPieces, pieces_of, sample_line, text_head

# The longest that the making of a page keeps the event loop, and how long it leaves the loop to others then.
_TURN_S, _PAUSE_S = 0.002, 0.001


def describe_process(registry: CollectorRegistry) -> None:
    """Adds what every admin port shows: version, memory, CPU and open files of the process, its garbage collections."""
    build = Gauge(
        "dropstream_build_info", "Always 1; the label tells the version that runs.", ["version"], registry=registry
    )
    build.labels(version("dropstream")).set(1)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)


class SharedPage:
    """A page that is made at most once at a time: who asks for it meanwhile gets the same."""

    def __init__(self, make: Callable[[], Awaitable[bytes]]) -> None:
        self._make = make
        self._made: asyncio.Future[bytes] | None = None

    async def text(self) -> bytes:
        """Returns the page; one who goes away leaves it to the others."""
        if self._made is None:
            self._made = asyncio.ensure_future(self._make())
            self._made.add_done_callback(self._end)
        return await asyncio.shield(self._made)

    def _end(self, made: "asyncio.Future[bytes]") -> None:
        self._made = None
        if not made.cancelled():
            made.exception()  # Whoever still waits for the page raises it.


async def page_of(registry: CollectorRegistry, *, worker: str | None = None) -> bytes:
    """Returns the text of all metrics; `worker` becomes a label of each sample that names no worker itself."""
    made: list[bytes] = []
    began = time.perf_counter()
    for piece in text_pieces(registry, "" if worker is None else f',worker="{worker}"'):
        made.append(piece.encode())
        if time.perf_counter() - began >= _TURN_S:
            await asyncio.sleep(_PAUSE_S)
            began = time.perf_counter()
    return b"".join(made)


def text_pieces(registry: CollectorRegistry, labels: str) -> Iterator[str]:
    """Yields the text of all metrics in pieces of whole lines; `labels` as `TextInPieces` takes them."""
    # There is no public way to ask a registry for its collectors one by one.
    collectors: tuple[Collector, ...] = tuple(registry._collector_to_names)  # noqa: SLF001
    for collector in collectors:
        if isinstance(collector, TextInPieces):
            yield from collector.text_pieces(labels)
        else:
            for family in collector.collect():
                yield from _family_pieces(family, labels)


def _family_pieces(family: Metric, labels: str) -> Iterator[str]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    yield text_head(name, family.documentation, family.type)
    # The time when a counter began is that of its process.
    created = f"{family.name}_created"
    for piece in pieces_of(sample for sample in family.samples if sample.name != created):
        yield "".join(
            [sample_line(one.name, one.labels, one.value, "" if "worker" in one.labels else labels) for one in piece]
        )
