"""What several workers look like on the one admin port."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from ops.service.admin import WorkersHealth
from ops.service.metrics_page import page_of
from ops.service.workers.admin import join_pages, workers_health


async def figures(worker: str, stored: int) -> bytes:
    """What a worker shows that has stored so many."""
    registry = CollectorRegistry()
    requests = Counter("requests", 'A "quoted"\nhelp.', ["endpoint"], registry=registry)
    requests.labels('ac"me\\\n# HELP requests').inc(stored)
    Histogram("seconds", "Time.", buckets=(1.0,), registry=registry).observe(0.5)
    Counter("silent", "Never.", ["why"], registry=registry)
    return await page_of(registry, worker=worker)


async def test_figures_of_all_workers_are_one_text() -> None:
    """Each sample has its worker, what the parent counts too; HELP and TYPE stand once; a silent worker is down."""
    own = CollectorRegistry()
    restarts = Counter("restarts", "Died.", ["worker"], registry=own)
    restarts.labels("1").inc()
    Counter("requests", 'A "quoted"\nhelp.', ["endpoint"], registry=own).labels("").inc(2)
    pages = {0: await figures("0", 3), 1: await figures("1", 4), 2: None}
    joined = join_pages(await page_of(own, worker="parent"), pages).decode()
    list(text_string_to_metric_families(joined))
    assert joined.endswith("\n")
    assert joined.splitlines() == [
        "# HELP dropstream_worker_up 1 where the worker answers its parent.",
        "# TYPE dropstream_worker_up gauge",
        'dropstream_worker_up{worker="0"} 1.0',
        'dropstream_worker_up{worker="1"} 1.0',
        'dropstream_worker_up{worker="2"} 0.0',
        '# HELP requests_total A "quoted"\\nhelp.',
        "# TYPE requests_total counter",
        'requests_total{endpoint="ac\\"me\\\\\\n# HELP requests",worker="0"} 3.0',
        'requests_total{endpoint="ac\\"me\\\\\\n# HELP requests",worker="1"} 4.0',
        'requests_total{endpoint="",worker="parent"} 2.0',
        "# HELP seconds Time.",
        "# TYPE seconds histogram",
        'seconds_bucket{le="1.0",worker="0"} 1.0',
        'seconds_bucket{le="+Inf",worker="0"} 1.0',
        'seconds_count{worker="0"} 1.0',
        'seconds_sum{worker="0"} 0.5',
        'seconds_bucket{le="1.0",worker="1"} 1.0',
        'seconds_bucket{le="+Inf",worker="1"} 1.0',
        'seconds_count{worker="1"} 1.0',
        'seconds_sum{worker="1"} 0.5',
        "# HELP silent_total Never.",
        "# TYPE silent_total counter",
        "# HELP restarts_total Died.",
        "# TYPE restarts_total counter",
        'restarts_total{worker="1"} 1.0',
    ]


@pytest.mark.parametrize(
    ("second", "standing"),
    [
        (b'{"live":true,"ready":true,"a":2}', (True, True, {"live": True, "ready": True, "a": 2})),
        (b'{"live":true,"ready":false}', (True, False, {"live": True, "ready": False})),
        (None, (False, False, {"live": False, "ready": False})),
    ],
)
def test_all_must_stand(second: bytes | None, standing: tuple[bool, bool, object]) -> None:
    """Live and ready are what every worker is; one that does not answer is neither; each one's facts are shown."""
    live, ready, facts = standing
    first = {"live": True, "ready": True, "a": 1}
    answers = {0: b'{"live":true,"ready":true,"a":1}', 1: second}
    assert workers_health(answers) == WorkersHealth(live, ready, {"workers": {"0": first, "1": facts}})
