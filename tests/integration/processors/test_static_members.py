"""A processor with a name of its own is restarted without a rebalance: what a deployment's rolling restart rests on."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.service.process_command import worker_settings
from schemas.errors import ConfigurationError
from schemas.kafka.arguments import group_consumer_arguments
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    Processor,
    audited,
    deliveries,
    prepared,
    processors,
    put,
)
from tests.support.waiting import PATIENCE_S

# Longer than a restart takes on a busy machine.
_LONG_MS = "45000"
# That of the member which is never restarted: with a third of it, it sees that another one has come.
_SHORT_MS = "15000"
_SESSION = "DROPSTREAM_PROCESS__SESSION_TIMEOUT_MS"


def assigned(processor: Processor) -> Iterator[int]:
    """How many partitions of `raw` each of its rebalances gave it."""
    for line in processor.log.read_text(encoding="utf-8").splitlines():
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "partitions_assigned" and told["group"] == "deliver":
            yield told["count"]


async def shared(*members: Processor) -> None:
    """Returns once all three partitions are shared by the members, none of them idle."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            last = [next(reversed([0, *assigned(member)])) for member in members]
            if sum(last) == 3 and all(last):
                return
            await asyncio.sleep(0.1)


@pytest.mark.kafka
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_restart_within_the_session_causes_no_rebalance(
    settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    """Stopped or killed, a member that is back in time has its partitions still; the other one never stops for it."""
    mine = await prepared(settings(ENDPOINTS, environ=ENVIRON))
    async with processors(mine, tmp_path) as start:
        monkeypatch.setenv("DROPSTREAM_PROCESS__INSTANCE_ID", "pod-1")
        monkeypatch.setenv(_SESSION, _SHORT_MS)
        other = await start("other")
        await other.says("partition_opened")
        monkeypatch.setenv("DROPSTREAM_PROCESS__INSTANCE_ID", "pod-0")
        monkeypatch.setenv(_SESSION, _LONG_MS)
        first = await start("first")
        await shared(first, other)
        before, share = list(assigned(other)), list(assigned(first))[-1]
        first.signal(end)
        await first.ended()
        monkeypatch.setenv("DROPSTREAM_PROCESS__INSTANCE_ID", "pod-0")
        again = await start("again")
        await again.says("partition_opened")
        await put(mine, deliveries(300))
        verdict = await audited(mine, 300)
        assert (list(assigned(again)), list(assigned(other))) == ([share], before)
    assert verdict.clean, verdict


@pytest.mark.kafka
async def test_without_a_name_a_restart_stops_the_others(settings: SettingsFactory, tmp_path: Path) -> None:
    """What the name is for: a member without one leaves, and the group deals the partitions out anew."""
    mine = await prepared(settings(ENDPOINTS, environ=ENVIRON))
    async with processors(mine, tmp_path) as start:
        first = await start("first")
        await first.says("partition_opened")
        other = await start("other")
        await shared(first, other)
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0
        async with asyncio.timeout(PATIENCE_S):
            while next(reversed(list(assigned(other)))) != 3:  # noqa: ASYNC110 another process writes it
                await asyncio.sleep(0.1)


def test_each_worker_is_a_member_of_its_own(settings: SettingsFactory) -> None:
    """Workers of one machine share its configuration, but never a member's name: the cluster would end one of them."""
    here = settings('[process]\ninstance_id = "pod-0"', bootstrap_servers="127.0.0.1:1")
    named = worker_settings(here, 3)
    assert group_consumer_arguments(here, group="deliver")["group_instance_id"] == "pod-0"
    assert group_consumer_arguments(named, group="deliver")["group_instance_id"] == "pod-0-3"
    nameless = settings(bootstrap_servers="127.0.0.1:1")
    assert worker_settings(nameless, 3) == nameless
    assert group_consumer_arguments(nameless, group="deliver")["group_instance_id"] is None


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 201])
def test_a_name_that_kafka_would_refuse_is_a_fault(settings: SettingsFactory, name: str) -> None:
    """Told at the start, with its key."""
    with pytest.raises(ConfigurationError, match=r"process\.instance_id"):
        settings(f'[process]\ninstance_id = "{name}"', bootstrap_servers="127.0.0.1:1")
