"""Every metric in one table, from the code that exports it: `python -m ops.docs.metrics_table docs/metrics.md`.

A test fails when the file drifts, and another when a running program exports what is not in it.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ingest.metrics import IngestMetrics, SpoolFigures
from ops.audit.gauges import AuditGauges
from ops.reconcile.gauges import ReconcileMetrics
from ops.service.metrics_page import describe_process
from ops.service.reload import ReloadMetrics
from ops.service.workers.admin import join_pages
from ops.service.workers.pool import Workers
from processors.metrics import ProcessMetrics

_HEAD = """# Metrics

At `/metrics` of the admin ports, in Prometheus's text form. With `--workers` every sample has the label `worker` too.
Labels are bounded: `endpoint` is a configured name, or empty where none was found. `make metrics` makes this file.

What never happened to an endpoint has no series, so that idle endpoints cost little. Two begin at 0 for alerts:
`dropstream_ingest_requests_total` (outcomes `stored` and `spooled`) and `dropstream_ingest_answered_late_total`. The
gauges of an endpoint's failures begin with its first delivery. A counter goes back only where its program, or its
worker, began anew.
"""
_UNITS = (("_timestamp_seconds", "s since 1970"), ("_seconds", "s"), ("_bytes", "bytes"), ("_ratio", "0 to 1"))


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric; `name` is the one to query, of a histogram without `_bucket`, `_sum` and `_count`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        """The unit by the end of the name, as Prometheus wants it; empty for a plain number."""
        base = self.name.removesuffix("_total").removesuffix("_allowed").removesuffix("_max").removesuffix("_free")
        return next((unit for end, unit in _UNITS if base.endswith(end)), "")


def metric_rows() -> dict[str, list[MetricRow]]:
    """Every metric by the program that exports it, sorted by name."""
    ingest, process, reconcile, both, parent = (CollectorRegistry() for _ in range(5))
    IngestMetrics(ingest).observe(
        in_flight_bytes=int,
        producer_connected=bool,
        partitions_overdue=int,
        spool=SpoolFigures,
        answers=list,
        clock=float,
    )
    ProcessMetrics(process)
    process.register(AuditGauges())
    ReconcileMetrics(reconcile)
    ReloadMetrics(both)
    describe_process(both)
    Workers((), (), grace_s=0, registry=parent)
    merged = text_string_to_metric_families(join_pages(b"", {0: b""}).decode())
    up = [MetricRow(one.name, one.type, tuple(one.samples[0].labels), one.documentation) for one in merged]
    return {
        "dropstream ingest": sorted(_rows(ingest), key=_name),
        "dropstream process": sorted(_rows(process), key=_name),
        "dropstream reconcile --watch": sorted(_rows(reconcile), key=_name),
        "all of them": sorted(_rows(both), key=_name),
        "`ingest` and `process` with `--workers`": sorted([*up, *_rows(parent)], key=_name),
    }


def metrics_table() -> str:
    """The text of `docs/metrics.md`."""
    parts = [_HEAD]
    for program, rows in metric_rows().items():
        lines = [f"| `{row.name}` | {row.kind} | {_code(row.labels)} | {row.unit} | {row.meaning} |" for row in rows]
        table = ["| name | type | labels | unit | meaning |", "| --- | --- | --- | --- | --- |", *lines]
        parts.append(f"## {program}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _rows(registry: CollectorRegistry) -> Iterator[MetricRow]:
    # A counter without samples shows no labels, and there is no public way to ask for them.
    collectors: list[Collector] = list(registry._collector_to_names)  # noqa: SLF001
    for collector in collectors:
        own = getattr(collector, "_labelnames", ())
        for family in collector.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield MetricRow(
                name, family.type, tuple(own or getattr(family, "_labelnames", ()) or ()), family.documentation
            )


def _name(row: MetricRow) -> str:
    return row.name


def _code(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(metrics_table(), encoding="utf-8")
