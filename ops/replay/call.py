"""One call of `dropstream replay` or `redrive`: plans, asks, runs, and resumes by id a run that ended early."""

from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import typer

from ops import screen
from ops.event_loop import run
from ops.kafka.ranges import parse_span
from ops.people.facts import plan_facts
from ops.people.writing import NotRecordedError, recorded_call
from ops.progress_shown import progress_shown
from ops.replay.dry_run import compare, rehearse
from ops.replay.plan import Survey, check_suffix_free, make_plan, make_topics, survey
from ops.replay.run import DeletedError, Pace, ReplayRun
from ops.replay.screen import show_counts, show_differences, show_plan
from ops.replay.store import ReplayStore, check_same_choice, keep_plan, new_id, read_store
from ops.replay.warm_up import WarmUp
from ops.screen import confirm
from ops.times import fixed
from processors.deliver.step import Rules
from processors.groups import deliver_rules
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.errors import DropstreamError, UsageError
from schemas.notes.acts import ActKind
from schemas.notes.replays import Choice, ReplayPlan, ReplayProgress
from schemas.settings import Settings

ReplayKind = Literal["replay", "redrive"]


@dataclass(frozen=True, slots=True)
class ReplayCall:
    """One call of `replay` or `redrive`, with what the person said about asking and about the rate."""

    kind: ReplayKind
    settings: Settings
    yes: bool
    rate: float | None
    as_json: bool = False

    @property
    def _rules(self) -> Rules:
        """The rules of today."""
        return deliver_rules(self.settings.endpoints, self.settings, discover())

    @property
    def _judging(self) -> str:
        """The version of the rules of today."""
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
        # The plan is kept: its times must be the same ones tomorrow.
        choice = replace(choice, begin=fixed(choice.begin), until=fixed(choice.until))
        span = parse_span(choice.begin, choice.until)
        source = "raw" if self.kind == "replay" else "rejected"

        async def make() -> tuple[ReplayPlan, Survey]:
            store = await read_store(self.settings)
            await check_suffix_free(self.settings, choice, store)
            plan = await make_plan(self.settings, new_id(self.kind, datetime.now(UTC)), source, choice, span)
            return plan, await survey(self.settings, plan, self._rules)

        plan, found = run(make())
        show_plan(self.settings, plan, found, dry_run=dry_run, as_json=self.as_json)
        if dry_run:
            self._dry_run(plan)
        elif not found.count:
            self._say("nothing to do")
        else:
            confirm(f"Write the events of {found.count} deliveries?", yes=self.yes)
            self._run(plan, ReplayStore())

    def _resume(self, plan_id: str, asked: Choice) -> None:
        """Goes on with the plan of this id, where it was started with the choice `asked` or that is empty."""
        if not plan_id.startswith(f"{self.kind}-"):
            raise UsageError(f"{plan_id} is not the id of a {self.kind}; one begins with {self.kind}-")
        store = run(read_store(self.settings))
        plan = store.find(plan_id)
        check_same_choice(plan, asked)
        if plan.finished:
            self._say(f"{plan.id} was finished already")
            show_counts(plan, store.total_progress(plan), title=plan.id, as_json=self.as_json)
        else:
            self._run(plan, store)

    def _dry_run(self, plan: ReplayPlan) -> None:
        """Shows what the plan would change; writes nothing."""
        with progress_shown("dry run", 0, 0, in_pipes=not self.as_json) as bar:
            if plan.source == "rejected":
                counts = run(rehearse(self.settings, plan, self._rules, bar))
            else:
                differences = run(compare(self.settings, plan, self._rules, WarmUp(bar, screen.note)))
        if plan.source == "rejected":
            show_counts(plan, counts, title="dry run", as_json=self.as_json)
        else:
            show_differences(differences, as_json=self.as_json)

    def _say(self, sentence: str) -> None:
        """Tells a person; where the output is for a program, on standard error."""
        if self.as_json:
            screen.note(sentence)
        else:
            screen.say(sentence)

    def _run(self, plan: ReplayPlan, store: ReplayStore) -> None:
        self._say(f"{self.kind} {plan.id}; should it end early, go on with: {self._resume_line(plan)}")
        total = sum(one.count for one in plan.ranges)
        results: list[ReplayProgress] = []
        with progress_shown(plan.id, total, store.offsets_done(plan), in_pipes=not self.as_json) as bar:

            async def write() -> None:
                async with recorded_call(self.settings, ActKind(self.kind), plan_facts(plan)) as ending:
                    await make_topics(self.settings, plan.choice)
                    kept = plan if plan.rules == self._judging else replace(plan, rules="")
                    if store.plans.get(plan.id) != kept:
                        await keep_plan(self.settings, kept)
                    told = WarmUp(bar, screen.note)
                    going = ReplayRun(self.settings, plan, self._rules, Pace(self.rate), bar.advance, told)
                    counts = await going.run()
                    await keep_plan(self.settings, replace(kept, finished=True))
                    results.append(counts)
                    ending.counts |= {"became": counts.became, "events": counts.events, "rejected": counts.rejected}

            self._run_resumable(plan, write())
        show_counts(plan, results[0], title=plan.id, as_json=self.as_json)

    def _run_resumable(self, plan: ReplayPlan, running: Coroutine[None, None, None]) -> None:
        """Runs it; where it ends early, the person reads how to resume the plan."""
        try:
            run(running)
        except KeyboardInterrupt:
            screen.complain(f"interrupted; nothing is lost, go on with: {self._resume_line(plan)}")
            raise typer.Exit(130) from None
        except (DeletedError, NotRecordedError):
            raise
        except DropstreamError as error:
            raise DropstreamError(f"{error}\ngo on with: {self._resume_line(plan)}") from error

    def _resume_line(self, plan: ReplayPlan) -> str:
        return f"dropstream {self.kind} --resume {plan.id}"
