"""The pages of the admin port of a parent: asks each worker on its socket, and shows all together."""

import asyncio
from collections.abc import Mapping, Sequence

import orjson
from prometheus_client import CollectorRegistry

from ops.http_page import fetch_page
from ops.service.admin import AdminPages, WorkersHealth
from ops.service.metrics_page import SharedPage, page_of
from ops.service.running_configuration import RunningConfiguration
from ops.service.workers.worker import Worker
from schemas.metrics_text import sample_line, text_head

_ANSWER_WITHIN_S = 1.0
# A page of metrics may have many megabytes; a scraper waits for 10 s as a rule.
_PAGE_WITHIN_S = 5.0
# The label of the metrics that the parent counts itself.
_OURSELVES = "parent"
# Each metric of a page begins so; in a value of a label the end of a line is escaped.
_HEAD = b"# HELP "


def joint_pages(workers: Sequence[Worker], registry: CollectorRegistry, running: RunningConfiguration) -> AdminPages:
    """The pages of all workers together; `registry` is the parent's own, and so is `running`: it reads for them all."""

    async def joint_health() -> WorkersHealth:
        return workers_health(dict(enumerate(await _ask_all(workers, "/readyz", within_s=_ANSWER_WITHIN_S))))

    async def joint_metrics() -> bytes:
        answers = dict(enumerate(await _ask_all(workers, "/metrics", within_s=_PAGE_WITHIN_S)))
        return join_pages(await page_of(registry, worker=_OURSELVES), answers)

    return AdminPages(joint_health, SharedPage(joint_metrics).text, running.facts)


def workers_health(answers: Mapping[int, bytes | None]) -> WorkersHealth:
    """The joint health by the workers' answers to `/readyz` (None: no answer); facts are under `workers`, by number."""
    each = {number: _facts(answer) for number, answer in answers.items()}
    return WorkersHealth(
        live=all(one["live"] is True for one in each.values()),
        ready=all(one["ready"] is True for one in each.values()),
        facts={"workers": {str(number): one for number, one in each.items()}},
    )


def join_pages(own: bytes, answers: Mapping[int, bytes | None]) -> bytes:
    """The pages of all workers (None: no answer) and the parent's own as one, each metric in one place with one head.

    Workers and parent have put their label on each sample already, so no line is read: pages are cut where a metric
    begins, which takes some milliseconds for ten thousand endpoints.
    """
    up = "dropstream_worker_up"
    lines = [sample_line(up, {"worker": str(number)}, answer is not None) for number, answer in answers.items()]
    is_up = "".join((text_head(up, "1 where the worker answers its parent.", "gauge"), *lines)).encode()
    joined: dict[bytes, list[bytes]] = {}
    for page in (is_up, *answers.values(), own):
        for part in (page or b"").removeprefix(_HEAD).split(b"\n" + _HEAD):
            name = part[: part.find(b" ")]
            if name in joined:
                joined[name].append(_samples(part))
            elif part:
                joined[name] = [_HEAD + part.removesuffix(b"\n")]
    texts = [text for parts in joined.values() for text in parts if text]
    return b"\n".join((*texts, b""))


def _samples(part: bytes) -> bytes:
    """The lines of a metric behind HELP and TYPE, without the last end of a line."""
    end = part.find(b"\n", part.find(b"\n") + 1)
    return part[end + 1 :].removesuffix(b"\n") if end >= 0 else b""


async def _ask_all(workers: Sequence[Worker], path: str, *, within_s: float) -> list[bytes | None]:
    return await asyncio.gather(*(_ask(worker, path, within_s=within_s) for worker in workers))


async def _ask(worker: Worker, path: str, *, within_s: float) -> bytes | None:
    """The worker's page, whatever its status; None where it does not answer in time."""
    page = await fetch_page(f"http://worker{path}", within_s=within_s, socket=worker.socket)
    return None if page is None else page.body


def _facts(answer: bytes | None) -> Mapping[str, object]:
    return {"live": False, "ready": False} if answer is None else orjson.loads(answer)
