"""The pages of the admin port of a parent: asks each worker on its socket, and shows all together."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from ops.http_page import fetch_page
from ops.service.admin import AdminPages, WorkersHealth
from ops.service.workers.worker import Worker

_ANSWER_WITHIN_S = 1.0
# The label of the metrics that the parent counts itself.
_OURSELVES = "parent"


@dataclass(frozen=True, slots=True, eq=False)
class _Merged(Collector):
    families: Sequence[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def joint_pages(workers: Sequence[Worker], registry: CollectorRegistry) -> AdminPages:
    """The pages of all workers together; `registry` is the parent's own."""

    async def joint_health() -> WorkersHealth:
        return workers_health(dict(enumerate(await _ask_all(workers, "/readyz"))))

    async def joint_metrics() -> bytes:
        return merge_metrics(registry, dict(enumerate(await _ask_all(workers, "/metrics"))))

    return AdminPages(joint_health, joint_metrics)


def workers_health(answers: Mapping[int, bytes | None]) -> WorkersHealth:
    """The joint health by the workers' answers to `/readyz` (None: no answer); facts are under `workers`, by number."""
    each = {number: _facts(answer) for number, answer in answers.items()}
    return WorkersHealth(
        live=all(one["live"] is True for one in each.values()),
        ready=all(one["ready"] is True for one in each.values()),
        facts={"workers": {str(number): one for number, one in each.items()}},
    )


def merge_metrics(own: CollectorRegistry, answers: Mapping[int, bytes | None]) -> bytes:
    """The answers of all workers (None: no answer) as one Prometheus text, every sample with the label `worker`."""
    up = GaugeMetricFamily("dropstream_worker_up", "1 where the worker answers its parent.", labels=["worker"])
    merged: dict[str, Metric] = {up.name: up}
    for number, answer in answers.items():
        up.add_metric([str(number)], float(answer is not None))
        _add(merged, str(number), answer or b"")
    # As text too: a registry groups its samples otherwise than a text does.
    _add(merged, _OURSELVES, generate_latest(own))
    together = CollectorRegistry()
    together.register(_Merged(tuple(merged.values())))
    return generate_latest(together)


def _add(merged: dict[str, Metric], worker: str, text: bytes) -> None:
    for family in text_string_to_metric_families(text.decode()):
        known = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        known.samples += [_labelled(sample, worker) for sample in family.samples]


def _labelled(sample: Sample, worker: str) -> Sample:
    # A sample that names a worker keeps its label: the parent counts the restarts of each worker.
    return sample._replace(labels={"worker": worker, **sample.labels})


async def _ask_all(workers: Sequence[Worker], path: str) -> list[bytes | None]:
    return await asyncio.gather(*(_ask(worker, path) for worker in workers))


async def _ask(worker: Worker, path: str) -> bytes | None:
    """The worker's page, whatever its status; None where it does not answer in time."""
    page = await fetch_page(f"http://worker{path}", within_s=_ANSWER_WITHIN_S, socket=worker.socket)
    return None if page is None else page.body


def _facts(answer: bytes | None) -> Mapping[str, object]:
    return {"live": False, "ready": False} if answer is None else orjson.loads(answer)
