"""A spool that takes long to open, as a damaged one does, keeps no delivery waiting that Kafka can take."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs

from ingest.answers import Outcome
from ingest.spool.folder import claim
from tests.conftest import SettingsFactory
from tests.support.waiting import PATIENCE_S, until
from tests.unit.ingest.spool.test_lanes import LanedStand, laned


async def test_a_spool_that_opens_late_keeps_the_ingress_from_nothing(
    settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage starts without it, and says so; Kafka takes deliveries; the spool takes them once it is open."""
    may_open = Event()

    def claim_late(*arguments: Any, **more: Any) -> Any:
        assert may_open.wait(PATIENCE_S)
        return claim(*arguments, **more)

    monkeypatch.setattr("ingest.storage.claim", claim_late)
    monkeypatch.setattr("ingest.storage._OPEN_S", 0.05)
    stand = LanedStand(settings, tmp_path / "spool")
    with capture_logs() as told:
        await stand.storage.start()
    assert [line["event"] for line in told if line["log_level"] == "warning"] == ["spool_opens_late"]
    assert not stand.storage.spool_usable
    stand.store(laned(0, 1))
    await until(lambda: len(stand.client.sent) == 1)
    stand.client.sent[0][1].set_result(None)
    await until(lambda: stand.outcomes == {b"1": Outcome.STORED})
    may_open.set()
    await until(lambda: stand.storage.spool_usable)
    assert not stand.storage.broken
    stand.store(laned(0, 2))
    await until(lambda: stand.outcomes == {b"1": Outcome.STORED, b"2": Outcome.SPOOLED})
    await stand.storage.stop(within_s=0)


async def test_a_spool_that_cannot_be_opened_is_told_once_and_opened_later(
    settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it an overdue delivery is answered 503, never 200; a stop says what is left in it."""
    monkeypatch.setattr("ingest.storage._CHECK_S", 0.02)
    folder = tmp_path / "spool"
    folder.write_text("a file where the folder should be")
    stand = LanedStand(settings, folder)
    with capture_logs() as told:
        await stand.storage.start()
        await until(lambda: any(line["event"] == "spool_not_opened" for line in told))
        stand.store(laned(0, 1))
        await until(lambda: stand.outcomes == {b"1": Outcome.UNAVAILABLE})
        assert not stand.storage.spool_usable
        folder.unlink()
        await until(lambda: stand.storage.spool_usable)
        stand.store(laned(0, 2))
        await until(lambda: stand.outcomes.get(b"2") is Outcome.SPOOLED)
        await stand.storage.stop(within_s=0)
    assert [line["path"] for line in told if line["event"] == "spool_not_opened"] == [str(folder)]
    left = [(line["deliveries"], line["refused"]) for line in told if line["event"] == "spool_not_drained"]
    assert left == [(1, 0)]
