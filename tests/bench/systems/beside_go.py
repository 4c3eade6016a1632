"""The ingress beside the same in Go: many short turns, one directly after the other, and the ratio of each pair.

A machine that others use is not the same machine a minute later; within two seconds it mostly is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.bench.load.plan import Plan, Result, generate
from tests.bench.report.figures import Figure, figure
from tests.bench.report.report import Bar, Section

_Pairs = list[tuple[Result, Result]]
_VALUES = {"per second": "per_second", "CPU us each": "cpu_us_each", "p50 ms": "p50_ms", "p99 ms": "p99_ms"}


@dataclass(slots=True)
class BesideGo:
    """Pairs of results, ours first: both saturated, and both at the same rate."""

    ours: str
    go: str
    saturated: _Pairs = field(default_factory=list)
    same_rate: _Pairs = field(default_factory=list)

    async def take_turns(self, plans: Mapping[str, Plan], *, rate: float) -> None:
        """One pair of each kind; which of the two comes first changes from turn to turn."""
        for pairs, its_rate in ((self.saturated, None), (self.same_rate, rate)):
            found = {}
            for name in (self.ours, self.go) if len(pairs) % 2 else (self.go, self.ours):
                plan = replace(plans[name], rate=its_rate, seed=len(pairs) + 1)
                found[name] = await asyncio.to_thread(generate, plan)
            pairs.append((found[self.ours], found[self.go]))

    def results(self) -> dict[str, list[Result]]:
        """All that each of the two did."""
        pairs = (*self.saturated, *self.same_rate)
        return {self.ours: [ours for ours, _ in pairs], self.go: [go for _, go in pairs]} if pairs else {}

    def section(self) -> Section:
        """What each did, saturated and at the same rate."""
        rows = {
            f"{name}, {kind}": {
                title: figure(getattr(pair[place], value) for pair in pairs) for title, value in _VALUES.items()
            }
            for kind, pairs in (("saturated", self.saturated), ("same rate", self.same_rate))
            for place, name in enumerate((self.ours, self.go))
        }
        notes = ("turns of a second, one after the other; same rate: half of what ours took in the rounds above",)
        return Section("ingress_beside_go", "Ingress beside Go", rows, notes)

    def bars(self) -> tuple[Bar, ...]:
        """The ratios, each the median of the ratios of the pairs."""
        return (
            Bar("ingress CPU per delivery, ours / Go", 1.1, _ratio("cpu_us_each", self.saturated)),
            Bar("ingress deliveries per second, ours / Go", 1.0, _ratio("per_second", self.saturated), at_least=True),
            Bar("ingress CPU per delivery at the same rate, ours / Go", 1.1, _ratio("cpu_us_each", self.same_rate)),
            Bar("ingress p50 at the same rate, ours / Go", 1.0, _ratio("p50_ms", self.same_rate)),
            Bar("ingress p99 at the same rate, ours / Go", 1.0, _ratio("p99_ms", self.same_rate)),
        )


def _ratio(value: str, pairs: Sequence[tuple[Result, Result]]) -> Figure:
    return figure(getattr(ours, value) / getattr(go, value) for ours, go in pairs)
