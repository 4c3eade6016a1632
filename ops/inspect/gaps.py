"""`dropstream gaps`: which sequence ids are missing by the records of `gaps`, endpoint by endpoint.

`MissingIds` is pure and follows the rule in `schemas.notes.gaps`; the functions that read the topic are below it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.kafka.reader import full_name, open_reader
from schemas.notes.gaps import Gap, GapState, read_gap
from schemas.settings import Settings

_COLUMNS = ("endpoint", "epoch", "first", "last", "count", "state", "since")


@dataclass(frozen=True, slots=True)
class MissingRun:
    """Missing ids `first` to `last`; `since` (RFC 3339, UTC) is when their state, open or lost, began."""

    endpoint: str
    epoch: int
    first: int
    last: int
    state: GapState
    since: str

    @property
    def count(self) -> int:
        """How many ids are missing; 0 where two counters share the endpoint, for nobody can know."""
        return 0 if self.state is GapState.MIXED else self.last - self.first + 1


@dataclass(slots=True)
class MissingIds:
    """The ids that are open or lost, by the records of `gaps`, which are added in the order of their offsets.

    A lost id that was reconciled is no longer among them.
    """

    # By endpoint and epoch: disjoint runs, ascending.
    _open: dict[tuple[str, int], list[MissingRun]] = field(default_factory=dict)
    _lost: dict[tuple[str, int], list[MissingRun]] = field(default_factory=dict)
    _mixed: dict[str, MissingRun] = field(default_factory=dict)

    def add(self, gap: Gap) -> None:
        """Adds the next record."""
        if gap.state is GapState.RESET:
            for key in [key for key in self._open if key[0] == gap.endpoint and key[1] < gap.epoch]:
                del self._open[key]
            self._mixed.pop(gap.endpoint, None)
            return
        if gap.state is GapState.MIXED:
            for key in [key for key in self._open if key[0] == gap.endpoint]:
                del self._open[key]
            self._mixed[gap.endpoint] = MissingRun(
                gap.endpoint, gap.epoch, gap.first, gap.last, gap.state, gap.changed_at
            )
            return
        run = MissingRun(gap.endpoint, gap.epoch, gap.first, gap.last, gap.state, gap.changed_at)
        key = (gap.endpoint, gap.epoch)
        if gap.state is not GapState.RECONCILED:
            _put(self._open.setdefault(key, []), run, keep=gap.state is GapState.OPEN)
        if gap.state in {GapState.LOST, GapState.RECONCILED}:
            _put(self._lost.setdefault(key, []), run, keep=gap.state is GapState.LOST)

    def runs(self) -> list[MissingRun]:
        """The open and the lost runs, by endpoint, epoch and first id; and the endpoints that two counters share."""
        found = [run for kept in (self._open, self._lost) for runs in kept.values() for run in runs]
        found += self._mixed.values()
        return sorted(found, key=lambda run: (run.endpoint, run.epoch, run.first))


def _put(runs: list[MissingRun], run: MissingRun, *, keep: bool) -> None:
    """Takes the ids of `run` out of `runs`, or puts `run` in their place."""
    start = bisect_left(runs, run.first, key=attrgetter("last"))
    end = bisect_right(runs, run.last, key=attrgetter("first"))
    touched = runs[start:end]
    before = [replace(one, last=run.first - 1) for one in touched[:1] if one.first < run.first]
    after = [replace(one, first=run.last + 1) for one in touched[-1:] if one.last > run.last]
    runs[start:end] = [*before, *([run] if keep else []), *after]


async def read_runs(settings: Settings, endpoint: str | None = None) -> list[MissingRun]:
    """The runs by the topic now, of one endpoint or of all; a record that is no gap is passed over.

    Raises:
        DropstreamError: the cluster or the topic cannot be read.
    """
    missing = MissingIds()
    async with open_reader(settings, [full_name("gaps", settings)], "beginning") as reader:
        while not await reader.is_at_end():
            for record in await reader.fetch():
                gap = read_gap(record.value)
                if gap is not None and endpoint in {None, gap.endpoint}:
                    missing.add(gap)
    return missing.runs()


def gaps(
    endpoint: Annotated[str | None, typer.Option(metavar="E", help="Only this endpoint's.", show_default=False)] = None,
    *,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Lists the gaps that are open, and those that are lost. Example: dropstream gaps --endpoint shipstream-acme"""
    settings = load_settings(config, signing_secrets=False)
    runs = run(read_runs(settings, endpoint))
    if not runs and endpoint is not None and endpoint not in settings.endpoints:
        raise typer.BadParameter(
            f"no endpoint is called {endpoint!r}; dropstream endpoints list shows them", param_hint="--endpoint"
        )
    show(runs, as_json=as_json, header=header)
    if not as_json:
        for line in offers(runs, settings):
            screen.note(line)


def offers(runs: Sequence[MissingRun], settings: Settings) -> list[str]:
    """For each endpoint with lost ids, how to fetch from its provider what they told of; none where it is off."""
    lost: dict[str, list[MissingRun]] = {}
    for one in runs:
        if one.state is GapState.LOST and one.endpoint in settings.endpoints:
            lost.setdefault(one.endpoint, []).append(one)
    lines = []
    for name, found in lost.items():
        if settings.endpoints[name].reconcile != "off":
            ids = f"{min(one.first for one in found)}-{max(one.last for one in found)}"
            fetch = f"dropstream reconcile --endpoint {name} --gap {ids}"
            lines.append(f"lost: what {name}'s provider can still tell is fetched by {fetch}")
    return lines


def show(runs: Sequence[MissingRun], *, as_json: bool, header: bool = False) -> None:
    """Writes the runs to standard output: a table, plain lines in a pipe, or JSON lines."""
    if not runs and screen.is_terminal() and not as_json:
        screen.say("No id is missing.", style="green")
    else:
        screen.show_table(_COLUMNS, map(_values, runs), fold=("since", "count"), as_json=as_json, header=header)


def _values(one: MissingRun) -> tuple[str | int, ...]:
    return one.endpoint, one.epoch, one.first, one.last, one.count, one.state.value, one.since
