"""What running programs export is what alerts read: the reasons are caused for real, and the metrics move."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.docs.metrics_table import metric_rows
from schemas.retry_policy import Loss, RetryPolicy
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.checkout import ROOT
from tests.support.ports import free_ports
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, put
from tests.support.programs import Program, program
from tests.support.raw_http import post
from tests.support.serving import Serving, create_raw, serving, serving_settings
from tests.support.waiting import PATIENCE_S, until

pytestmark = pytest.mark.kafka

_RULES = (ROOT / "deploy" / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
PATIENCE = {
    "shipstream": RetryPolicy(Loss.SUBSCRIPTION, "page", failures_max=4, failing_s_max=3_600, answer_within_s=30)
}


def sample(running: Serving, name: str, **labels: str) -> float | None:
    """The figure now, under a name that some alert reads."""
    assert re.search(rf"\b{name}\b", _RULES), name
    return running.registry.get_sample_value(name, labels)


async def test_kafka_away_uses_patience_and_its_return_gives_it_back(
    settings: SettingsFactory, cluster: ClusterFactory
) -> None:
    """Without Kafka and spool each delivery is a failure that is counted; one success and all is there again."""
    broker = await cluster()
    mine = serving_settings(settings, "kafka_deadline_ms = 1000", bootstrap_servers=broker.bootstrap_servers)
    await create_raw(mine)
    async with serving(mine, retry_policies=PATIENCE) as running:
        await running.stored(b"{}")
        await until(lambda: running.ingress.publisher.connected)
        before = sample(running, "dropstream_ingest_requests_total", endpoint="acme", outcome="unavailable") or 0
        assert sample(running, "dropstream_ingest_failing_seconds", endpoint="acme") == 0
        broker.nodes[0].freeze()
        statuses = [(await running.ask(post("/webhooks/acme", b"{}"))).status for _ in range(3)]
        assert (await running.ask(post("/webhooks/stranger", b"{}"))).status == 404
        assert statuses == [503, 503, 503]
        assert sample(running, "dropstream_ingest_failures_in_a_row", endpoint="acme") == 3
        assert running.registry.get_sample_value(
            "dropstream_ingest_failure_budget_used_ratio", {"endpoint": "acme"}
        ) == pytest.approx(0.75)
        assert sample(running, "dropstream_ingest_failures_allowed", endpoint="acme") == 4
        assert (sample(running, "dropstream_ingest_failing_seconds", endpoint="acme") or 0) > 0
        assert sample(running, "dropstream_ingest_failures_in_a_row", endpoint="laned") is None
        assert sample(running, "dropstream_ingest_failures_in_a_row", endpoint="stranger") is None
        assert sample(running, "dropstream_ingest_producer_connected") == 0
        assert sample(running, "dropstream_ingest_requests_total", endpoint="acme", outcome="unavailable") == before + 3
        broker.nodes[0].thaw()
        await until(lambda: running.ingress.publisher.connected)
        await running.stored(b"{}")
        failed = sample(running, "dropstream_ingest_last_failure_timestamp_seconds", endpoint="acme")
        succeeded = sample(running, "dropstream_ingest_last_success_timestamp_seconds", endpoint="acme")
        assert failed is not None
        assert succeeded is not None
        assert succeeded > failed
        assert sample(running, "dropstream_ingest_failures_in_a_row", endpoint="acme") == 0
        assert (
            running.registry.get_sample_value("dropstream_ingest_failure_budget_used_ratio", {"endpoint": "acme"}) == 0
        )


async def test_endpoints_are_counted_from_0_also_when_they_come_later(settings: SettingsFactory) -> None:
    """Successes and late answers, before the first of them; what never happened has no figure, what goes none more."""
    mine = serving_settings(settings)
    await create_raw(mine)
    async with serving(mine, retry_policies=PATIENCE) as running:
        assert sample(running, "dropstream_ingest_requests_total", endpoint="acme", outcome="stored") == 0
        assert sample(running, "dropstream_ingest_requests_total", endpoint="", outcome="connections_full") == 0
        assert sample(running, "dropstream_ingest_producers_replaced_total", reason="hung") == 0
        assert sample(running, "dropstream_ingest_requests_total", endpoint="acme", outcome="unavailable") is None
        await running.stored(b"{}")
        assert sample(running, "dropstream_ingest_failures_in_a_row", endpoint="acme") == 0
        running.ingress.replace_endpoints({"newer": mine.endpoints["acme"]})
        assert sample(running, "dropstream_ingest_requests_total", endpoint="newer", outcome="stored") == 0
        assert sample(running, "dropstream_ingest_requests_total", endpoint="newer", outcome="spooled") == 0
        assert sample(running, "dropstream_ingest_answered_late_total", endpoint="newer") == 0
        assert sample(running, "dropstream_ingest_failures_in_a_row", endpoint="newer") is None
        assert sample(running, "dropstream_ingest_failures_in_a_row", endpoint="acme") is None


async def test_programs_export_what_the_table_says(settings: SettingsFactory, tmp_path: Path) -> None:
    """Ingress with workers and processors after traffic: no metric more, none less; wrong signatures are counted."""
    port, ingest_admin, process_admin = (free_ports(1) for _ in range(3))
    mine = await prepared(settings(ENDPOINTS, environ=ENVIRON))
    kafka = mine.kafka
    (tmp_path / "dropstream.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = 3\n"
        f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {ingest_admin}\n'
        f'spool_dir = "{tmp_path / "spool"}"\n'
        f"{PROCESS.replace('admin_port = 0', f'admin_port = {process_admin}')}{ENDPOINTS}"
    )
    good = deliveries(30)
    forged = [replace(one, body=one.body + b" ") for one in good if one.endpoint == "shipstream"]
    await put(mine, [*good, *forged])
    async with (
        program(tmp_path, "ingest", "--workers", "2", admin_port=ingest_admin, environ=ENVIRON) as ingest,
        program(tmp_path, "process", admin_port=process_admin, environ=ENVIRON) as process,
    ):
        await ingest.ready()
        url = f"http://127.0.0.1:{port}/webhooks/dropea"
        async with aiohttp.ClientSession() as client, client.post(url, data=b"{}") as answer:
            assert answer.status == 200
        count = f'endpoint="shipstream",group="deliver",reason="signature_invalid"}} {len(forged)}.0'
        await process.shows(f"dropstream_process_rejected_total{{{count}")
        table = metric_rows()
        parent = {row.name for row in table["`ingest` and `process` with `--workers`"]}
        both = {row.name for row in table["all of them"]}
        assert await exported(ingest) == {row.name for row in table["dropstream ingest"]} | both | parent
        assert await exported(process) == {row.name for row in table["dropstream process"]} | both
        # The worker that took the delivery, which may be either, knows the endpoint.
        shown = 'dropstream_ingest_failures_allowed{endpoint="dropea",worker="%d"} 3.0'
        _, page = await ingest.page("/metrics")
        assert {shown % 0, shown % 1} & set(page.splitlines())


async def exported(running: Program) -> set[str]:
    """The names of the metrics that a program shows, as the table has them."""
    async with asyncio.timeout(PATIENCE_S):
        _, text = await running.page("/metrics")
    families = text_string_to_metric_families(text)
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
