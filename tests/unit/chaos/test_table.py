"""The table of a run of faults: what is in it at every moment, and when the run went well."""

import asyncio
import random
from pathlib import Path

from tests.chaos.obligations import Load, Verdict
from tests.chaos.table import Played, Table


def _played(*, lost: int = 0) -> Played:
    async def load() -> Load:
        return Load("http://127.0.0.1:1", random.Random(1))  # noqa: S311 not a secret

    made = asyncio.run(load())
    made.answers.update({"200": 1_000, "503": 20, "none": 3, "too late": 4})
    made.healthy_served = 0.995
    made.longest_s = 1.5
    verdict = Verdict(1_000, 1_000 - lost, lost, copies=7, disordered=0, most=2, each=1.007)
    return Played(made, verdict, peak_kib=102_400, recovery_s=2.25, untidy=())


def test_rows_are_in_the_file_as_soon_as_they_are_known(tmp_path: Path) -> None:
    """A run that is ended behind its first fault leaves that fault's row, and says that another one is missing."""
    table = Table(tmp_path / "chaos" / "ingress.md", 2, command="python -m tests.chaos.ingress")
    table.played("wire_cut", _played())
    title, _, head, _, row = table.file.read_text().splitlines()
    assert title.startswith("`python -m tests.chaos.ingress`, ")
    assert title.endswith("; 1 of 2 faults")
    assert head == (
        "| fault | deliveries | 200 | 503 | none | lost | disordered | copies | most | each | peak memory | healthy |"
        " longest 200 | spool empty after |"
    )
    assert row == "| `wire_cut` | 1,027 | 1,000 | 20 | 7 | 0 | 0 | 7 | 2 | 1.01 | 100 MB | 99.5% | 1.50 s | 2.2 s |"
    assert table.good


def test_a_fault_that_cannot_be_played_is_a_row_and_makes_the_run_bad(tmp_path: Path) -> None:
    """Its reason is in its row, the others keep theirs, and the sum is of what was played."""
    table = Table(tmp_path / "ingress.md", 2)
    table.failed("disk_full", ExceptionGroup("together", [TimeoutError(), AssertionError("/livez was answered 503")]))
    table.played("wire_cut", _played())
    *_, failed, played, total = table.file.read_text().splitlines()
    assert "TimeoutError()" in failed
    assert "/livez was answered 503" in failed
    assert played.startswith("| `wire_cut` | 1,027 |")
    assert total.startswith("| in sum | 1,027 | 1,000 | 20 | 7 | 0 | 0 | 7 |")
    assert not table.good


def test_a_lost_delivery_makes_the_run_bad(tmp_path: Path) -> None:
    """However well the faults behind it go."""
    table = Table(tmp_path / "ingress.md", 2)
    table.played("wire_cut", _played(lost=1))
    table.played("wire_reset", _played())
    assert not table.good
