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
    is_group,
    members_if_known,
    move,
    parse_offset_target,
    plan_moves,
    read_group_offsets,
    refuse_members,
)
from ops.kafka.reader import full_name
from ops.people.writing import recorded_call
from ops.screen import confirm
from ops.suggest import nearest_or_all
from ops.verbs import verb_group
from schemas.errors import DropstreamError
from schemas.kafka.log_bounds import NotKnown
from schemas.notes.acts import NAME_CHARACTERS_MAX, ActFacts, ActKind
from schemas.settings import Settings

# So many of them are told in one message.
_DOUBTS_MAX = 3
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
    """Shows where groups stand in every partition, and how far they are behind; exit code 1 if some is not known.

    Example: dropstream offsets show --group deliver
    """
    settings = load_settings(config, signing_secrets=False)

    rows, doubts = run(_shown(settings, group, topic))
    columns = ("group", "topic", "partition", "committed", "end", "lag", "members")
    screen.show_table(columns, rows, fold=("members", "end"), as_json=as_json, header=header)
    if doubts:
        raise DropstreamError(
            f"what is shown as unknown, nobody can say now: {'; '.join(doubts[:_DOUBTS_MAX])}\n"
            "Ask again in a moment; if it stays, look at the brokers."
        )


async def _shown(
    settings: Settings, group: str | None, topic: str | None
) -> tuple[list[tuple[screen.Cell, ...]], list[str]]:
    """The rows of the table, and a sentence for everything that is not known."""
    known = await groups(settings)
    topics = None if topic is None else [full_name(topic, settings)]
    rows: list[tuple[screen.Cell, ...]] = []
    doubts: list[str] = []
    for name in known if group is None else [await _known(group, known, settings)]:
        count = await members_if_known(settings, name)
        doubts += [f"how many members {name} has"] if count is None else []
        members = "unknown" if count is None else count
        try:
            found = await read_group_offsets(settings, name, topics)
        except DropstreamError as error:
            doubts.append(f"in which topics {name} has committed: {str(error).splitlines()[0]}")
            rows.append((name, *("unknown",) * 5, members))
            continue
        rows += [_row_of(one, members) for one in found]
        doubts += [
            f"partition {one.partition.partition} of {one.partition.topic}: {one.unknown_why}"
            for one in found
            if one.unknown_why
        ]
    return rows, doubts


def _row_of(one: PartitionOffsets, members: int | str) -> tuple[screen.Cell, ...]:
    end = one.log if isinstance(one.log, NotKnown) else one.log.end
    place = (one.group, one.partition.topic, one.partition.partition)
    return *place, _cell(one.committed), _cell(end), _cell(one.lag), members


@app.command("set")
def set_offsets(
    *,
    group: GroupName,
    topic: Annotated[str, typer.Option("--topic", metavar="T", help="The topic, short or full name.")],
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="A time, 2h, an offset, earliest or latest.")],
    partition: Annotated[int | None, typer.Option(metavar="P", min=0, help="Only this partition.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show from -> to, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Sets a group's offsets, while it has no members.

    Example: dropstream offsets set --group billing --topic orders --to 2026-05-21T00:00:00Z
    """
    target = parse_offset_target(to)
    settings = load_settings(config, signing_secrets=False)
    name, moves = run(_planned(settings, group, full_name(topic, settings), partition, target))
    screen.show_table(("topic", "partition", "from", "to"), map(_row, moves), as_json=as_json, header=header)
    tell = screen.note if as_json else screen.say
    if not moves:
        tell("nothing to do: it stands there already")
        return
    if name.removeprefix(settings.kafka.topic_prefix) in _STATEFUL:
        tell(f"{name} keeps a memory beside its offsets, which stays; dropstream replay makes events anew")
    if dry_run:
        return
    run(refuse_members(settings, name))
    confirm(f"Set {len(moves)} offset{'s' if len(moves) > 1 else ''} of {name}?", yes=yes)
    run(_set(settings, name, moves, topic))
    tell("set")


async def _set(settings: Settings, group: str, moves: Sequence[OffsetMove], topic: str) -> None:
    places = ", ".join(f"{one.now.partition.partition}:{one.to}" for one in moves)
    facts = ActFacts(about=f"{group} {topic} to {places}"[:NAME_CHARACTERS_MAX], counts={"offsets": len(moves)})
    async with recorded_call(settings, ActKind.SET_OFFSETS, facts):
        await move(settings, group, moves)


async def _planned(
    settings: Settings, group: str, topic: str, partition: int | None, target: OffsetTarget
) -> tuple[str, Sequence[OffsetMove]]:
    name = await _found(group, await groups(settings), settings) or group
    found = await read_group_offsets(settings, name, [topic])
    chosen = [one for one in found if partition in {None, one.partition.partition}]
    if not chosen:
        raise DropstreamError(f"{topic}: no partition {partition}; there are {len(found)}")
    if isinstance(target, int) and len(chosen) > 1:
        raise DropstreamError(f"an offset is of one partition; name it with --partition (0 to {len(chosen) - 1})")
    return name, await plan_moves(settings, chosen, target)


async def _known(group: str, known: Sequence[str], settings: Settings) -> str:
    name = await _found(group, known, settings)
    if name is None:
        raise DropstreamError(f"no such group: {group}{nearest_or_all(group, known)}")
    return name


async def _found(group: str, known: Sequence[str], settings: Settings) -> str | None:
    """The group's id on the cluster, as it was given or with the prefix; None where there is neither.

    The list of groups may leave one out while its coordinator moves, so the coordinators are asked before that is said.
    """
    if (name := full_group(group, known, settings.kafka.topic_prefix)) in known:
        return name
    for one in dict.fromkeys((settings.kafka.topic_prefix + group, group)):
        if await is_group(settings, one):
            return one
    return None


def _row(one: OffsetMove) -> tuple[screen.Cell, ...]:
    partition = one.now.partition
    return partition.topic, partition.partition, _cell(one.now.committed), one.to


def _cell(number: int | NotKnown | None) -> int | str | None:
    """The number, `unknown`, or None where nothing is committed."""
    return str(number) if isinstance(number, NotKnown) else number
