"""The disk of a busy machine takes its time: no test of the spool fails for that, unless it sets a limit itself."""

import pytest

from tests.support.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def _unhurried_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.spool.disk._WRITE_TIMEOUT_S", PATIENCE_S)
