"""Reads and writes the layout: among how many partitions the keys of `raw` and `sequence` are placed."""

from ops.kafka.clients import consumer
from ops.kafka.writing import write_record
from schemas.kafka.layout_watch import LayoutWatch
from schemas.notes.formats import NewerFormatError
from schemas.notes.layout_faults import layout_fault
from schemas.notes.layouts import LAYOUT_KEY, LAYOUT_PARTITION, Layout, write_layout
from schemas.settings import Settings


async def current_layout(settings: Settings) -> Layout | None:
    """The layout now; None where nobody has written one.

    Raises:
        DropstreamError: the cluster cannot be reached, or does not say; or a newer version wrote the layout.
    """
    return (await _look(LayoutWatch(settings, counted=()))).layout


async def look_at_layout(settings: Settings) -> LayoutWatch:
    """The layout and the numbers of partitions now.

    Raises:
        DropstreamError: as above.
    """
    return await _look(LayoutWatch(settings))


async def _look(watch: LayoutWatch) -> LayoutWatch:
    settings = watch.settings
    async with consumer(settings) as client:
        await watch.look(client)
    if watch.layout is not None and watch.layout.unknown_format:
        raise NewerFormatError(layout_fault(watch.layout, watch.counts, settings.kafka.topic_prefix))
    return watch


async def put_layout(settings: Settings, layout: Layout) -> None:
    """Writes the layout; it is on all in-sync replicas on return.

    Raises:
        DropstreamError: the topic is missing, or the cluster does not take the layout in time.
    """
    await write_record(settings, "layout", write_layout(layout), key=LAYOUT_KEY, partition=LAYOUT_PARTITION)


async def note_first_layout(settings: Settings) -> None:
    """Writes the layout where there is none and all agree: from now on a foreign hand that adds partitions is seen."""
    watch = await look_at_layout(settings)
    if watch.layout is None and len(set(watch.counts.values())) == 1:
        await put_layout(settings, Layout(partitions=next(iter(watch.counts.values()))))
