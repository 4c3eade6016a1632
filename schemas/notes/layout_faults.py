"""Whether the partitions that are there are those of the layout, and what to do where they are not. Pure."""

from collections.abc import Mapping

from schemas.notes.formats import newer
from schemas.notes.layouts import FORMAT, PLACED_TOPICS, Layout, MigrationPhase

WAY_OUT = (
    "Nothing is lost: the ingress writes to the old partitions as before. Set kafka.partitions to a multiple of "
    "{count} that is at least {most}, and run: dropstream topics apply --migrate"
)


def layout_fault(layout: Layout | None, counts: Mapping[str, int], prefix: str) -> str:
    """A sentence where a placed topic or its changelog has other partitions than the layout; empty where all agree.

    `counts` are the numbers of partitions by short name. A migration that is under way is no fault: its own steps look
    after the partitions.
    """
    if layout is not None and layout.unknown_format:
        return newer(f"the record of {prefix}layout", layout.unknown_format, FORMAT)
    if layout is not None and layout.phase is not None:
        return ""
    known = {name: counts[name] for pair in PLACED_TOPICS.items() for name in pair if name in counts}
    count = layout.partitions if layout is not None else min(known.values(), default=0)
    others = {name: number for name, number in known.items() if number != count}
    if not others:
        return ""
    told = ", ".join(f"{prefix}{name} has {number}" for name, number in others.items())
    way_out = WAY_OUT.format(count=count, most=max(known.values()))
    if any(number < count for number in others.values()):
        way_out = "A topic was made anew with fewer partitions: make it anew with as many as the others have"
    return (
        f"{told} partitions, and keys are placed among {count}: a foreign hand changed the topics, and what is "
        f"remembered of a key would not be found in its new partition\n{way_out}"
    )


def may_process(layout: Layout | None) -> bool:
    """Whether consumer groups may read now: not while a migration moves their state."""
    return layout is None or layout.phase is not MigrationPhase.MOVE


def readable_partitions(layout: Layout | None) -> int | None:
    """How many partitions of its topic a group may read; None for all of them.

    A partition beyond those of the layout waits: the old ones are read to their end first.
    """
    return None if layout is None else layout.partitions


def placing_count(layout: Layout | None, found: int) -> int:
    """Among how many partitions of `raw`, of which `found` are there, the ingress places keys; 0 while it must wait."""
    if layout is None:
        return found
    if layout.unknown_format or layout.phase is not None or found < layout.partitions:
        return 0
    return layout.partitions
