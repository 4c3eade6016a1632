"""`dropstream topics`: the table of topics in code, against the cluster."""

import os
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.kafka.acls_command import show_acls
from ops.kafka.migration import migrate as migrate_layout
from ops.kafka.topics import Applied, Comparison, apply, read_comparisons
from ops.people.person import caller
from ops.people.writing import NotRecordedError, recorded_call
from ops.verbs import verb_group
from schemas.errors import DropstreamError
from schemas.notes.acts import NAME_CHARACTERS_MAX, ActFacts, ActKind
from schemas.settings import Settings

_GROWING = (
    "more partitions move keys: a retry would not find its first try, a hole of a sequence would be called lost, and "
    "the events of one entity would lie in two partitions; dropstream topics apply --migrate adds them and moves what "
    "is remembered, while the ingress spools and answers"
)

app = verb_group("Creates and checks every topic from one table in code.")


@app.command("plan")
def show_plan(*, as_json: screen.AsJson = False, header: screen.Header = False, config: ConfigFile = None) -> None:
    """Shows what agrees with the plan, what is missing, what differs; exit code 1 if a topic is missing.

    Example: dropstream topics plan
    """
    comparisons = run(read_comparisons(load_settings(config, signing_secrets=False)))
    _show(comparisons, {}, as_json=as_json, header=header)
    if missing := sum(one.verdict == "missing" for one in comparisons):
        what = "1 topic is" if missing == 1 else f"{missing} topics are"
        raise DropstreamError(f"{what} missing; create with: dropstream topics apply")
    if screen.is_terminal() and not as_json and any(one.verdict != "agrees" for one in comparisons):
        screen.say("dropstream topics apply alters settings that differ.")


Migrate = Annotated[
    bool,
    typer.Option("--migrate", help="Adds partitions up to kafka.partitions, and moves what is remembered of each key."),
]


@app.command("apply")
def apply_plan(
    *,
    migrate: Migrate = False,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Creates what is missing, alters settings that differ; safe to run again.

    Example: dropstream topics apply --config dropstream.toml
    """
    settings = load_settings(config, signing_secrets=False)
    applied = run(_apply(settings, migrate=migrate))
    done = {**dict.fromkeys(applied.altered, "altered"), **dict.fromkeys(applied.created, "created")}
    _show(applied.now, done, as_json=as_json, header=header)
    left = [one for one in applied.now if one.verdict != "agrees"]
    if left:
        raise DropstreamError(_what_to_do(left))


async def _apply(settings: Settings, *, migrate: bool) -> Applied:
    """Applies the plan, and puts on record what was changed: behind it, for the topic of the record may be new."""
    caller(os.environ)  # Who calls must be known before anything is changed.
    applied = await apply(settings)
    if applied.created or applied.altered:
        await record_applied(settings, applied)
    if migrate:
        about = f"kafka.partitions = {settings.kafka.partitions}"
        async with recorded_call(settings, ActKind.MIGRATE_TOPICS, ActFacts(about=about)):
            await migrate_layout(settings, screen.note)
        applied = await apply(settings)
    return applied


async def record_applied(settings: Settings, applied: Applied) -> None:
    """Puts on record what was created and altered.

    Raises:
        DropstreamError: it could not be written; names what was done all the same.
    """
    names = " ".join(one.removeprefix(settings.kafka.topic_prefix) for one in (*applied.created, *applied.altered))
    counts = {"created": len(applied.created), "altered": len(applied.altered)}
    facts = ActFacts(about=names[:NAME_CHARACTERS_MAX], counts=counts)
    try:
        async with recorded_call(settings, ActKind.APPLY_TOPICS, facts):
            pass
    except NotRecordedError as error:
        raise DropstreamError(
            f"created or altered, but not on record in topic acts: {names}\n{error.__cause__ or error}"
        ) from error


app.command("acls")(show_acls)


def _show(comparisons: tuple[Comparison, ...], done: dict[str, str], *, as_json: bool, header: bool) -> None:
    screen.show_table(
        ("topic", "partitions", "replicas", "compression", "state", "differences"),
        (
            (
                one.plan.name,
                one.plan.partitions,
                one.plan.replication_factor,
                one.compression if one.is_readable else f"{one.compression}, unreadable here",
                one.verdict if one.verdict == "differs" else done.get(one.plan.name, one.verdict),
                one.sentence,
            )
            for one in comparisons
        ),
        as_json=as_json,
        header=header,
    )


def _what_to_do(left: list[Comparison]) -> str:
    names = ", ".join(one.plan.name for one in left)
    if any(one.is_to_grow for one in left):
        return f"{names}: {_GROWING}"
    if any(one.shape for one in left):
        return (
            f"{names}: partitions and replicas are not changed, for keys would move and lose their order; "
            "set kafka.partitions and kafka.replication_factor to what is there, or take a new kafka.topic_prefix"
        )
    return f"{names}: the cluster does not show the change yet; run dropstream topics plan"
