"""`dropstream offsets`: shows the offsets of consumer groups, and sets those of a group that has no members."""

from collections.abc import Sequence
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.kafka.offsets import (
    OffsetMove,
    OffsetTarget,
    PartitionOffsets,
    full_group,
    groups,
    members,
    move,
    parse_offset_target,
    plan_moves,
    read_group_offsets,
    refuse_members,
)
from ops.kafka.reader import full_name
from ops.screen import confirm
from ops.suggest import nearest_or_all
from ops.verbs import verb_group
from schemas.errors import DropstreamError
from schemas.settings import Settings

# The state of these groups lies beside their offsets, and is not set with them.
_STATEFUL = ("deliver", "sequence")

app = verb_group("Shows and sets the offsets of consumer groups.")

GroupName = Annotated[str, typer.Option("--group", metavar="G", help="Its id, with or without our prefix.")]


@app.command("show")
def show_offsets(
    *,
    group: Annotated[
        str | None, typer.Option("--group", metavar="G", help="Its id, with or without our prefix; default: all.")
    ] = None,
    topic: Annotated[str | None, typer.Option("--topic", metavar="T", help="Only in this topic.")] = None,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Shows where groups stand and how far they are behind. Example: dropstream offsets show --group deliver"""
    settings = load_settings(config, signing_secrets=False)

    async def read() -> list[tuple[PartitionOffsets, int]]:
        known = await groups(settings)
        named = known if group is None else [_known(group, known, settings)]
        topics = None if topic is None else [full_name(topic, settings)]
        return [
            (one, await members(settings, name))
            for name in named
            for one in await read_group_offsets(settings, name, topics)
        ]

    screen.show_table(
        ("group", "topic", "partition", "committed", "end", "lag", "members"),
        (
            (
                *(one.group, one.partition.topic, one.partition.partition, one.committed),
                *(one.end, one.lag, count),
            )
            for one, count in run(read())
        ),
        fold=("members", "end"),
        as_json=as_json,
        header=header,
    )


@app.command("set")
def set_offsets(
    *,
    group: GroupName,
    topic: Annotated[str, typer.Option("--topic", metavar="T", help="The topic, short or full name.")],
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="A time, 2h, an offset, earliest or latest.")],
    partition: Annotated[int | None, typer.Option(metavar="P", min=0, help="Only this partition.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show from -> to, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigFile = None,
) -> None:
    """Sets a group's offsets, while it has no members.

    Example: dropstream offsets set --group billing --topic orders --to 2026-05-21T00:00:00Z
    """
    target = parse_offset_target(to)
    settings = load_settings(config, signing_secrets=False)
    name, moves = run(_planned(settings, group, full_name(topic, settings), partition, target))
    screen.show_table(("topic", "partition", "from", "to"), map(_row, moves))
    if not moves:
        screen.say("nothing to do: it stands there already")
        return
    if name.removeprefix(settings.kafka.topic_prefix) in _STATEFUL:
        screen.say(f"{name} keeps a memory beside its offsets, which stays; dropstream replay makes events anew")
    if dry_run:
        return
    run(refuse_members(settings, name))
    confirm(f"Set {len(moves)} offset{'s' if len(moves) > 1 else ''} of {name}?", yes=yes)
    run(move(settings, name, moves))
    screen.say("set", style="green")


async def _planned(
    settings: Settings, group: str, topic: str, partition: int | None, target: OffsetTarget
) -> tuple[str, Sequence[OffsetMove]]:
    name = full_group(group, await groups(settings), settings.kafka.topic_prefix)
    found = await read_group_offsets(settings, name, [topic])
    chosen = [one for one in found if partition in {None, one.partition.partition}]
    if not chosen:
        raise DropstreamError(f"{topic}: no partition {partition}; there are {len(found)}")
    if isinstance(target, int) and len(chosen) > 1:
        raise DropstreamError(f"an offset is of one partition; name it with --partition (0 to {len(chosen) - 1})")
    return name, await plan_moves(settings, chosen, target)


def _known(group: str, known: Sequence[str], settings: Settings) -> str:
    name = full_group(group, known, settings.kafka.topic_prefix)
    if name not in known:
        raise DropstreamError(f"no such group: {group}{nearest_or_all(group, known)}")
    return name


def _row(one: OffsetMove) -> tuple[screen.Cell, ...]:
    partition = one.now.partition
    return partition.topic, partition.partition, one.now.committed, one.to
