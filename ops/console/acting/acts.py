"""The acts of a person on call: a redrive, the dry run of a replay, a sample; done by the functions of the verbs.

One act runs at a time; the page names it to the person before it begins. Topic `acts` has it before anything is done.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog
from aiokafka.errors import KafkaError

from ops.console.acting.plans import Plans
from ops.console.acting.reconciling import planned_run, reconciled
from ops.console.acting.shown_acts import ActState, ShownAct, ShownActs
from ops.console.watch import Watch, now_ms
from ops.endpoints.sequence import has_sequence
from ops.kafka.ranges import parse_span
from ops.people.act_log import ActLog
from ops.people.facts import plan_facts, run_facts, span_text
from ops.people.person import Asker
from ops.replay.dry_run import compare
from ops.replay.plan import make_plan
from ops.replay.run import Pace, ReplayRun
from ops.replay.store import keep_plan, new_id
from ops.send.client import deliver_one, open_session, own_base_url, sign
from ops.send.sequence import newest_id
from ops.suggest import check_name
from processors.deliver.provider import Provider, Sample
from processors.deliver.step import Rules
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.errors import DropstreamError, UsageError
from schemas.notes.acts import ActFacts, ActKind
from schemas.notes.reconciliations import ReconcileRun
from schemas.notes.replays import Choice, ReplayPlan
from schemas.settings import Settings

Rows = list[tuple[str, str]]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _ToRecord:
    """What is to be put on record of an act."""

    kind: ActKind
    asker: Asker
    facts: ActFacts


@dataclass(slots=True)
class Acts:
    """Runs the acts; `start` runs a coroutine beside the page. `plans` has what they would do.

    `log` puts each on record: one that it does not take is not done.
    """

    settings: Settings
    watch: Watch
    start: Callable[[Coroutine[None, None, None]], None]
    log: ActLog
    shown: ShownActs = field(default_factory=ShownActs)
    plans: Plans = field(default_factory=Plans)

    def run_plan(self, plan_id: str, asker: Asker) -> ShownAct:
        """Starts the redrive or replay that was planned.

        Raises:
            DropstreamError: the plan is not kept any more, or another act runs.
        """
        self._check_free()
        plan, count = self.plans.take(plan_id)
        kind = ActKind.REDRIVE if plan.source == "rejected" else ActKind.REPLAY
        what = f"{kind.capitalize()} {_of(plan.choice)}"
        named = ",".join(plan.choice.deliveries) or None
        facts = {"plan": plan.id, "endpoint": plan.choice.endpoint, "reason": plan.choice.reason, "records": count}
        act = self.shown.start(kind, what, who=str(asker), at_ms=now_ms(), **facts, deliveries=named)
        act.total = sum(one.count for one in plan.ranges)
        record = _ToRecord(kind, asker, plan_facts(plan, count))
        self.start(self._carry_out(act, record, lambda: self._run_plan(plan, act)))
        return act

    def dry_run_replay(self, begin: str | None, until: str | None, endpoint: str | None, asker: Asker) -> ShownAct:
        """Starts to compare a range of `raw` with what is in the topics; writes nothing.

        Raises:
            DropstreamError: the range or the name is wrong, or another act runs.
        """
        self._check_free()
        check_name("endpoint", endpoint, self.settings.endpoints)
        choice = Choice(begin=begin, until=until, endpoint=endpoint)
        parse_span(begin, until)
        what = f"Dry run of a replay {_of(choice)}"
        facts = {"begin": begin, "until": until, "endpoint": endpoint}
        act = self.shown.start(ActKind.REPLAY_DRY_RUN, what, who=str(asker), at_ms=now_ms(), **facts)
        record = _ToRecord(ActKind.REPLAY_DRY_RUN, asker, ActFacts(endpoint=endpoint, span=span_text(begin, until)))
        self.start(self._carry_out(act, record, lambda: self._compare(choice)))
        return act

    async def send(self, sample_name: str, endpoint_name: str, asker: Asker) -> ShownAct:
        """Sends one signed sample to the endpoint; returns when it is answered.

        Raises:
            DropstreamError: a name is wrong, or another act runs.
        """
        self._check_free()
        samples = {sample.name: (provider, sample) for provider, sample in all_samples()}
        check_name("sample", sample_name, samples)
        check_name("endpoint", endpoint_name, self.settings.endpoints)
        provider, sample = samples[sample_name]
        if self.settings.endpoints[endpoint_name].provider != provider.name:
            raise UsageError(f"{endpoint_name} is not an endpoint of {provider.name}")
        title = f"Send {sample.name} to {endpoint_name}"
        facts = {"sample": sample.name, "endpoint": endpoint_name}
        act = self.shown.start(ActKind.SEND, title, who=str(asker), at_ms=now_ms(), **facts)
        record = _ToRecord(ActKind.SEND, asker, ActFacts(endpoint=endpoint_name, about=sample.name))
        await self._carry_out(act, record, lambda: self._send(sample, endpoint_name))
        return act

    async def reconcile(self, endpoint: str, gap: str, asker: Asker) -> ShownAct:
        """Starts to fetch what the lost ids told of from the provider's API.

        Raises:
            DropstreamError: it cannot be done, or another act runs.
        """
        self._check_free()
        run = await planned_run(self.settings, endpoint, gap)
        self._check_free()
        what = f"Fetch what {endpoint} lost, {gap}"
        act = self.shown.start(ActKind.RECONCILE, what, who=str(asker), at_ms=now_ms(), endpoint=endpoint, run=run.id)
        act.outcome = [("run", run.id)]

        def on_page(now: ReconcileRun) -> None:
            act.outcome = [("run", run.id), ("step", now.step), ("fetched", str(now.counts.fetched))]

        record = _ToRecord(ActKind.RECONCILE, asker, run_facts(run))
        self.start(self._carry_out(act, record, lambda: reconciled(self.settings, run, on_page)))
        return act

    async def _run_plan(self, plan: ReplayPlan, act: ShownAct) -> Rows:
        def on_offsets(count: int) -> None:
            act.done += count

        await keep_plan(self.settings, plan)
        run = ReplayRun(self.settings, plan, self._rules, Pace(), on_offsets)
        counts = await run.run()
        await keep_plan(self.settings, replace(plan, finished=True))
        return [
            ("became events", str(counts.became)),
            ("events", str(counts.events)),
            ("still rejected" if plan.source == "rejected" else "rejected", str(counts.rejected)),
            ("events already" if plan.source == "rejected" else "retries", str(counts.retries)),
        ]

    async def _compare(self, choice: Choice) -> Rows:
        span = parse_span(choice.begin, choice.until)
        plan = await make_plan(self.settings, new_id("replay", datetime.now(UTC)), "raw", choice, span)
        differences = await compare(self.settings, plan, self._rules)
        return [
            (kind, f"{count}" + "".join(f" · {one}" for one in differences.first.get(kind, ())[:3]))
            for kind, count in sorted(differences.counts.items())
        ] or [("deliveries in that range", "0")]

    async def _send(self, sample: Sample, endpoint_name: str) -> Rows:
        endpoint, now = self.settings.endpoints[endpoint_name], datetime.now(UTC)
        # The id after the newest, so that the sample leaves no hole in a sequence; else an id that no other has.
        if has_sequence(discover()[endpoint.provider], now):
            number = (await newest_id(self.settings, endpoint_name) or 0) + 1
        else:
            number = int((now - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() * 10)
        outgoing = sign(sample.body(number, now), endpoint, sample, now)
        base_url = self.settings.console.ingest_url or own_base_url(self.settings.ingest)
        async with open_session() as session:
            answer = await deliver_one(session, base_url, endpoint_name, endpoint, outgoing=outgoing)
        if answer.status != 200:
            raise DropstreamError(f"the ingress answered {answer.status}; its log and /metrics say why")
        took = f"{1000 * answer.seconds:.0f} ms"
        return [("answer", f"{answer.status} in {took}"), ("delivery", answer.delivery_id or "-")]

    async def _carry_out(
        self, act: ShownAct, record: _ToRecord, work: Callable[[], Coroutine[None, None, Rows]]
    ) -> None:
        """Puts the act on record and does its work; on return it has ended, whatever became of it."""
        state: ActState = "failed"
        outcome = [("failed", "the console ended; look what is there, then begin again")]
        try:
            async with self.log.recorded(record.kind, record.asker, record.facts) as ending:
                rows = await work()
                ending.counts |= {name: int(value) for name, value in rows if value.isdecimal()}
            state, outcome = "done", rows
        except (DropstreamError, KafkaError, TimeoutError) as error:
            outcome = [("failed", str(error) or type(error).__name__)]
        except Exception as error:  # noqa: BLE001 a fault of ours ends this act, and neither the others nor the console
            outcome = [("failed", f"{type(error).__name__}, a fault of the program; the console's log says where")]
            _log.exception("console_act_broke", title=act.title)
        finally:
            self.shown.end(act, state, outcome)

    @property
    def _rules(self) -> Rules:
        return deliver_rules(self.settings.endpoints, self.settings, discover())

    def _check_free(self) -> None:
        if self.shown.is_busy:
            raise UsageError("something is being done already; wait for its end")


def all_samples() -> list[tuple[Provider, Sample]]:
    """Every sample with its provider."""
    return [(provider, sample) for provider in discover().values() for sample in provider.samples]


def _of(choice: Choice) -> str:
    if choice.deliveries:
        count = len(choice.deliveries)
        return f"of the delivery {choice.deliveries[0]}" if count == 1 else f"of {count} selected deliveries"
    parts = (
        (f"of {choice.endpoint}", choice.endpoint),
        (f"for {choice.reason}", choice.reason),
        (f"from {choice.begin}", choice.begin),
        (f"to {choice.until}", choice.until),
    )
    return " ".join(text for text, given in parts if given) or "of everything"
