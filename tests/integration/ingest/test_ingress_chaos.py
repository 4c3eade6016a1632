"""The short form of `make chaos`: real programs, a real broker, faults one after the other, every 200 an obligation."""

from pathlib import Path

import pytest

from tests.chaos.disk_faults import a_bad_disk
from tests.chaos.faults import Fault, a_short_mix
from tests.chaos.ingress import SEED, play, wired
from tests.chaos.stage import staged
from tests.chaos.stranger_faults import big_bodies_one_endpoint, idle_flood
from tests.conftest import ClusterFactory


async def test_what_was_answered_200_is_in_raw_whatever_happened(cluster: ClusterFactory, tmp_path: Path) -> None:
    """Broker and ingress killed, disk full, network cut, all under load: nothing lost, nothing out of order."""
    broker = await cluster()
    async with wired(broker) as wire, staged("mix", tmp_path, cluster=broker, wire=wire, away_s=0) as stage:
        played = await play(a_short_mix, stage, seed=SEED)
    assert played.good, (played.verdict, played.untidy, played.load.answers)
    assert played.load.answers["200"] > 500


async def test_a_disk_that_hangs_and_damages_a_page_loses_nothing(cluster: ClusterFactory, tmp_path: Path) -> None:
    """503 for as long as neither Kafka nor disk is there; a page without deliveries on it costs none."""
    broker = await cluster()
    async with wired(broker) as wire, staged("disk", tmp_path, cluster=broker, wire=wire, away_s=0) as stage:
        played = await play(a_bad_disk, stage, seed=SEED)
        said = stage.log.read_text()
    assert played.good, (played.verdict, played.untidy, played.load.answers)
    assert said.count("spool_damaged") == 1


@pytest.mark.parametrize("fault", [idle_flood, big_bodies_one_endpoint])
async def test_strangers_harm_no_provider(cluster: ClusterFactory, tmp_path: Path, fault: Fault) -> None:
    """Connections that hold all places, and large bodies for one endpoint: the senders beside them are answered 200."""
    broker = await cluster()
    async with wired(broker) as wire, staged(fault.__name__, tmp_path, cluster=broker, wire=wire, away_s=0) as stage:
        played = await play(fault, stage, seed=SEED)
    assert played.good, (played.verdict, played.untidy, played.load.answers)
    assert played.load.answers["none"] == 0
