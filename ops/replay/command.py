"""`dropstream replay` judges a range of raw again; `redrive` makes events of what was rejected and is good today.

Both plan, show or ask, run, and go on by id where they ended early.
"""

import re
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.kafka.ranges import parse_span
from ops.progress import progress_shown
from ops.replay.dry_run import Differences, compare, rehearse
from ops.replay.plan import Survey, check_free, make_plan, make_topics, survey
from ops.replay.run import DeletedError, Pace, ReplayRun
from ops.replay.screen import show_counts, show_differences, show_plan
from ops.replay.store import Store, check_same_choice, keep_plan, new_id, read_store
from ops.screen import confirm
from ops.suggest import check_name
from processors.deliver.step import Rules
from processors.groups import deliver_rules
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.errors import DropstreamError, UsageError
from schemas.notes.rejections import Reason
from schemas.notes.replays import Choice, ReplayPlan, ReplayProgress
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS

ReplayKind = Literal["replay", "redrive"]
Result = TypeVar("Result")

# Kafka's characters for a topic's name, less the dot: it stands before the suffix.
_SUFFIX = re.compile(r"[A-Za-z0-9_-]{1,60}")

FROM = typer.Option("--from", metavar="PLACE", help="A time, or PARTITION:OFFSET; default: the beginning.")
TO = typer.Option("--to", metavar="PLACE", help="Up to and without it; default: the present end.")
ENDPOINT = typer.Option("--endpoint", metavar="E", help="Only this endpoint's.")
PROVIDER = typer.Option("--provider", metavar="P", help="Only this provider's.")
DRY_RUN = typer.Option("--dry-run", help="Write nothing; say what would be.")
YES = typer.Option("--yes", help="Do not ask.")
RATE = typer.Option("--rate", metavar="N", min=0.1, help="At most so many deliveries a second.")
RESUME = typer.Option("--resume", metavar="ID", help="Go on with one that ended early.")


def replay(
    *,
    begin: Annotated[str | None, FROM] = None,
    until: Annotated[str | None, TO] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
    provider: Annotated[str | None, PROVIDER] = None,
    topics: Annotated[
        str | None, typer.Option(metavar="T,...", help="Only events of these topics: orders,inventory,...")
    ] = None,
    into: Annotated[
        str | None, typer.Option(metavar="SUFFIX", help="Write to topics of its own: orders.SUFFIX, ...")
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Append to the live topics, marked.")] = False,
    dry_run: Annotated[bool, DRY_RUN] = False,
    yes: Annotated[bool, YES] = False,
    rate: Annotated[float | None, RATE] = None,
    resume: Annotated[str | None, RESUME] = None,
    config: ConfigFile = None,
) -> None:
    """Judges a range of raw again by today's rules; the events have the ids that they had at first.

    Example: dropstream replay --from 2026-05-21T00:00:00Z --endpoint acme --into fixed
    """
    settings = load_settings(config)
    chosen = tuple(dict.fromkeys(name.strip() for name in topics.split(","))) if topics is not None else ()
    check_name("endpoint", endpoint, settings.endpoints)
    check_name("provider", provider, discover())
    for name in chosen:
        check_name("topic of events", name, EVENT_TOPICS)
    if into is not None and not _SUFFIX.fullmatch(into):
        raise UsageError(f"--into {into!r} is no suffix: letters, digits, - and _, at most 60")
    if into is not None and in_place:
        raise UsageError("--into and --in-place exclude each other")
    if into is None and not (in_place or dry_run or resume):
        raise UsageError("say where the events go: --into SUFFIX, or --in-place; or look first with --dry-run")
    choice = Choice(begin=begin, until=until, endpoint=endpoint, provider=provider, topics=chosen, into=into)
    Verb("replay", settings, yes=yes, rate=rate).start_or_resume(choice, resume, dry_run=dry_run)


def redrive(
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="R", help="Only what was rejected for this: signature_invalid, ...")
    ] = None,
    begin: Annotated[str | None, FROM] = None,
    until: Annotated[str | None, TO] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
    provider: Annotated[str | None, PROVIDER] = None,
    dry_run: Annotated[bool, DRY_RUN] = False,
    yes: Annotated[bool, YES] = False,
    rate: Annotated[float | None, RATE] = None,
    resume: Annotated[str | None, RESUME] = None,
    config: ConfigFile = None,
) -> None:
    """Judges rejected deliveries again; those that are good now become events, once, however often it is called.

    Places and times are those of topic rejected. Example: dropstream redrive --reason signature_invalid --endpoint acme
    """
    settings = load_settings(config)
    check_name("reason", reason, [one.value for one in Reason])
    check_name("endpoint", endpoint, settings.endpoints)
    check_name("provider", provider, discover())
    choice = Choice(begin=begin, until=until, endpoint=endpoint, provider=provider, reason=reason)
    Verb("redrive", settings, yes=yes, rate=rate).start_or_resume(choice, resume, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class Verb:
    """One call of the verb."""

    kind: ReplayKind
    settings: Settings
    yes: bool
    rate: float | None

    @property
    def rules(self) -> Rules:
        """Today's."""
        return deliver_rules(self.settings.endpoints, self.settings, discover())

    @property
    def _judging(self) -> str:
        """The name of today's rules."""
        return rules_version(self.settings, self.settings.endpoints, discover()).judging

    def start_or_resume(self, choice: Choice, resume: str | None, *, dry_run: bool) -> None:
        """Goes on with the plan of id `resume`; without an id, makes a new plan for `choice`.

        Raises:
            UsageError: the two cannot go together, or no plan of this id was started with this choice.
        """
        if resume is None:
            self._start(choice, dry_run=dry_run)
        elif dry_run:
            raise UsageError("--dry-run and --resume exclude each other")
        else:
            self._resume(resume, choice)

    def _start(self, choice: Choice, *, dry_run: bool) -> None:
        """Makes a plan and shows it; then compares it with the topics, or asks the person and runs it."""
        span = parse_span(choice.begin, choice.until)
        source = "raw" if self.kind == "replay" else "rejected"

        async def plan_it() -> tuple[ReplayPlan, Survey]:
            store = await read_store(self.settings)
            await check_free(self.settings, choice, store)
            plan = await make_plan(self.settings, new_id(self.kind, datetime.now(UTC)), source, choice, span)
            return plan, await survey(self.settings, plan, self.rules)

        plan, found = run(plan_it())
        show_plan(self.settings, plan, found, dry_run=dry_run)
        if dry_run:
            self._look(plan)
        elif not found.count:
            screen.say("nothing to do")
        else:
            confirm(f"Write the events of {found.count} deliveries?", yes=self.yes)
            self._run(plan, Store())

    def _resume(self, plan_id: str, asked: Choice) -> None:
        """Goes on with the plan of this id, where it was started with the choice `asked` or that is empty."""
        if not plan_id.startswith(f"{self.kind}-"):
            raise UsageError(f"{plan_id} is no id of a {self.kind}; one begins with {self.kind}-")
        store = run(read_store(self.settings))
        plan = store.find(plan_id)
        check_same_choice(plan, asked)
        if plan.finished:
            screen.say(f"{plan.id} was finished already")
            show_counts(plan, store.sum_of(plan))
        else:
            self._run(plan, store)

    def _look(self, plan: ReplayPlan) -> None:
        if plan.source == "rejected":
            show_counts(plan, run(rehearse(self.settings, plan, self.rules)))
            return
        differences: Differences = run(compare(self.settings, plan, self.rules))
        show_differences(differences)

    def _run(self, plan: ReplayPlan, store: Store) -> None:
        screen.say(f"{self.kind} {plan.id}; should it end early, go on with: {self._resume_line(plan)}")
        total = sum(one.count for one in plan.ranges)
        with progress_shown(plan.id, total, store.sum_of(plan).records) as bar:

            async def run_it() -> None:
                await make_topics(self.settings, plan.choice)
                kept = plan if plan.rules == self._judging else replace(plan, rules="")
                if store.plans.get(plan.id) != kept:
                    await keep_plan(self.settings, kept)
                counts = await ReplayRun(self.settings, plan, self.rules, Pace(self.rate), bar.advance).run()
                await keep_plan(self.settings, replace(kept, finished=True))
                tally.append(counts)

            tally: list[ReplayProgress] = []
            self._told_how_to_go_on(plan, run_it())
        show_counts(plan, tally[0])

    def _told_how_to_go_on(self, plan: ReplayPlan, running: Coroutine[None, None, None]) -> None:
        try:
            run(running)
        except KeyboardInterrupt:
            screen.complain(f"interrupted; nothing is lost, go on with: {self._resume_line(plan)}")
            raise typer.Exit(130) from None
        except DeletedError:
            raise
        except DropstreamError as error:
            raise DropstreamError(f"{error}\ngo on with: {self._resume_line(plan)}") from error

    def _resume_line(self, plan: ReplayPlan) -> str:
        return f"dropstream {self.kind} --resume {plan.id}"
