"""The way that `dropstream replay` and `dropstream redrive` share: plan, look or ask, run, tell; and go on by id."""

from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeVar

import typer

from ops import screen
from ops.event_loop import run
from ops.kafka.ranges import parse_span
from ops.replay.dry_run import Differences, compare
from ops.replay.plan import Survey, check_free, make_plan, make_topics, survey
from ops.replay.rehearsal import rehearse
from ops.replay.run import DeletedError, Pace, ReplayRun
from ops.replay.screen import progress_shown, show_counts, show_differences, show_plan
from ops.replay.store import Store, check_same_choice, keep_plan, new_id, read_store
from ops.screen import confirm
from processors.deliver.step import Rules
from processors.groups import deliver_rules
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.errors import DropstreamError, UsageError
from schemas.notes.replays import Choice, ReplayPlan, ReplayProgress
from schemas.settings import Settings

ReplayKind = Literal["replay", "redrive"]
Result = TypeVar("Result")


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

    def begin(self, choice: Choice, *, dry_run: bool) -> None:
        """Plans; then looks, or asks and runs."""
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

    def resume(self, replay: str, asked: Choice) -> None:
        """Goes on with what was begun.

        Raises:
            UsageError: there is nothing of this id, or it was something else.
        """
        if not replay.startswith(f"{self.kind}-"):
            raise UsageError(f"{replay} is no id of a {self.kind}; one begins with {self.kind}-")
        store = run(read_store(self.settings))
        plan = store.find(replay)
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
