"""One run: asks a source page by page, and puts the states that are news into `raw`, until the source has no more.

A page is in `raw` before the run's progress says so. So a run that is killed asks again for at most one page when it is
resumed, and finds in `raw` that the page's states are known.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from ops.reconcile.known import KnownStates, StateVerdict
from ops.reconcile.source import FetchedState, StatePage, StateSource, Window
from processors.deliver.fetched import is_overtaken
from schemas.delivery import Delivery, raw_key, read_record, record_headers
from schemas.fetched import FetchOrigin
from schemas.notes.reconciliations import ReconcileCounts, ReconcileRun
from schemas.records import Position, RawRecord
from schemas.sections.endpoints import EndpointSettings
from schemas.times import rfc3339, timestamp_ms
from schemas.vocabulary import Domain


class RawLog(Protocol):
    """The partitions of `raw` that an endpoint's records lie in."""

    async def more(self) -> Iterable[RawRecord]:
        """Every record since the last call that is there now, those of this run included."""

    async def append(self, records: Sequence[RawRecord]) -> None:
        """Writes the records in their order; they are on all in-sync replicas on return."""


class RunStore(Protocol):
    """Where the progress of a run is kept."""

    async def keep(self, run: ReconcileRun) -> None:
        """Keeps the run as it is now; of two processes with one endpoint, the older one fails."""


@dataclass(slots=True)
class Reconciliation:
    """The work of one run; `on_page` is given the run after each page. `remote` is the host of the API."""

    source: StateSource
    known: KnownStates
    log: RawLog
    store: RunStore
    endpoint: EndpointSettings
    remote: str
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    on_page: Callable[[ReconcileRun], None]
    requests: Callable[[], int] = lambda: 0

    async def run(self, run: ReconcileRun) -> ReconcileRun:
        """Runs to the end, or goes on from where the run stands; the run as it is then, finished.

        Raises:
            DropstreamError: the API or Kafka fails; the run can be resumed.
        """
        asked = run.counts.requests
        window = Window(datetime.fromisoformat(run.begin), datetime.fromisoformat(run.end) if run.end else None)
        await self.store.keep(run)
        async for page in self.source.pages(window, cursor=run.cursor, memory=run.memory):
            counts = await self._take(page, run.id)
            counts = replace(run.counts.plus(counts), requests=asked + self.requests())
            run = replace(
                run,
                cursor=page.cursor,
                step=page.step,
                counts=counts,
                notes=(*run.notes, *(note for note in page.notes if note not in run.notes)),
                memory={**run.memory, **page.memory},
                changed_at=rfc3339(self.now()),
            )
            await self.store.keep(run)
            self.on_page(run)
        run = replace(run, finished=True, changed_at=rfc3339(self.now()))
        await self.store.keep(run)
        return run

    async def _take(self, page: StatePage, run_id: str) -> ReconcileCounts:
        """Writes what is news of the page; the counts of the page."""
        for raw in await self.log.more():
            self.known.add(raw)
        counts, news = ReconcileCounts(), []
        for state in page.states:
            judged = self.known.judge(self._record(state, FetchOrigin(run_id)))
            if judged.verdict is StateVerdict.UNREADABLE:
                counts = counts.plus(ReconcileCounts(unreadable=1))
                continue
            if judged.verdict is StateVerdict.KNOWN:
                counts = counts.plus(ReconcileCounts(known=1))
                continue
            news.append(self._record(state, FetchOrigin(run_id, judged.newest_known)))
            counts = counts.plus(
                ReconcileCounts(
                    published=1,
                    overtaken=int(judged.newest_known is not None and is_overtaken(read_record(news[-1]))),
                    orders=int(judged.domain is Domain.ORDER),
                    skus=int(judged.domain is Domain.INVENTORY),
                )
            )
        if news:
            await self.log.append(news)
        return counts

    def _record(self, state: FetchedState, origin: FetchOrigin) -> RawRecord:
        """The state as the record of `raw` that it is to become; its position is not known yet."""
        delivery = Delivery(
            id=self.new_id(),
            provider=self.endpoint.provider,
            endpoint=self.known.endpoint,
            received_at=state.asked_at,
            remote=self.remote,
            headers=(),
            body=state.body,
            fetched=origin,
        )
        return RawRecord(
            position=Position("raw", -1, -1),
            key=raw_key(delivery.endpoint, self.endpoint.lanes, state.body),
            value=state.body,
            headers=record_headers(delivery),
            timestamp_ms=timestamp_ms(state.asked_at),
        )
