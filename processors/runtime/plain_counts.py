"""A counter with a sample for each endpoint and reason, whose text is made in pieces (`schemas.metrics_text`).

A counter of the client library gives all samples in one step: those of ten thousand endpoints take a second or more, in
which the process answers no probe.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from schemas.metrics_text import pieces_of, text_head


class PlainCounts(Collector):
    """Counts by the values of its labels, in the order of `labels`; `name` is without `_total`.

    The values are names of endpoints and groups, and words of closed sets: none needs escaping.
    """

    def __init__(self, name: str, meaning: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._meaning, self._labels = name, meaning, tuple(labels)
        shown = ",".join(f'{label}="{{{labels.index(label)}}}"' for label in sorted(labels))
        self._line = f"{name}_total{{{{{shown}"
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def begin(self, *values: str) -> None:
        """Shows these values from now on, at 0 before their first event; a thread may call it."""
        self._counts.setdefault(values, 0)

    def add(self, *values: str) -> None:
        """Counts one event."""
        self._counts[values] = self._counts.get(values, 0) + 1

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Returns all counts as one metric."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, number in list(self._counts.items()):
            family.add_metric(values, number)
        return (family,)

    def text_pieces(self, labels: str) -> Iterator[str]:
        """Yields the same as text, as `schemas.metrics_text.TextInPieces` says."""
        yield text_head(f"{self._name}_total", self._meaning, "counter")
        show = self._line.format
        for piece in pieces_of(list(self._counts.items())):
            yield "".join([f"{show(*values)}{labels}}} {number}.0\n" for values, number in piece])
