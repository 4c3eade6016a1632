"""The newest traced delivery of each bucket of a latency histogram, and the page of metrics that names it.

Prometheus's older text has no place for them, so the page is written as OpenMetrics where a scraper takes that:
https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars. Prometheus keeps exemplars where it runs with
`--enable-feature=exemplar-storage`.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client.utils import floatToGoString

_COUNTER_HEAD = re.compile(rb"^# (HELP|TYPE) (\S+)_total (?=.)", re.MULTILINE)
_UNTYPED = re.compile(rb"^(# TYPE \S+) untyped$", re.MULTILINE)


@dataclass(slots=True)
class Exemplars:
    """What is known by the beginning of a bucket's line; as many entries as there are buckets."""

    _newest: dict[bytes, bytes] = field(default_factory=dict)

    def note(self, name: str, bounds: Sequence[float], seconds: float, *, trace_id: str, labels: str = "") -> None:
        """Notes an observation of the histogram `name`; `bounds` rise, `labels` are those before `le`, with a comma."""
        place = bisect_left(bounds, seconds)
        bound = floatToGoString(bounds[place] if place < len(bounds) else float("inf"))  # type: ignore[no-untyped-call] # it ships without
        line = f'{name}_bucket{{{labels}le="{bound}"}} '
        self._newest[line.encode()] = f' # {{trace_id="{trace_id}"}} {seconds!r}'.encode()

    def openmetrics(self, page: bytes) -> bytes:
        """The page of Prometheus text as OpenMetrics, with the exemplars behind the lines of their buckets."""
        page = _UNTYPED.sub(rb"\1 unknown", _COUNTER_HEAD.sub(rb"# \1 \2 ", page))
        ends = sorted((end, told) for line, told in self._newest.items() if (end := _end_of(page, line)) >= 0)
        pieces, last = [], 0
        for end, told in ends:
            pieces += [page[last:end], told]
            last = end
        return b"".join([*pieces, page[last:], b"# EOF\n"])


def takes_openmetrics(accept: str) -> bool:
    """Whether the header Accept of a scraper names the format."""
    return "application/openmetrics-text" in accept


def _end_of(page: bytes, line: bytes) -> int:
    """Where the line that begins so ends; -1 where there is none."""
    begin = page.find(b"\n" + line)
    return -1 if begin < 0 else page.find(b"\n", begin + 1)
