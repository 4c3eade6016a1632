"""The verdict in one word: an exception outweighs doubt, and doubt is never clean."""

import json

import pytest

from ops.audit.command import verdict_for_programs
from ops.audit.verdict import ADVICE, AuditFinding, AuditVerdict, FindingKind, Pending


@pytest.mark.parametrize(
    ("found", "unknown", "status"),
    [
        ({}, [], "clean"),
        ({FindingKind.LOST: 0}, [], "clean"),
        ({}, ["nobody knows"], "unknown"),
        ({FindingKind.LOST: 1}, [], "exceptions"),
        ({FindingKind.LOST: 1}, ["nobody knows"], "exceptions"),
    ],
)
def test_the_status_follows_from_what_was_found(found: dict[FindingKind, int], unknown: list[str], status: str) -> None:
    """Clean is only what is known and right."""
    verdict = AuditVerdict(deliveries=1, outputs={}, found=found, unknown=unknown)
    assert (verdict.status, verdict.clean) == (status, status == "clean")


def test_pending_is_no_exception_and_is_counted() -> None:
    """What the group has not reached is told, with how much it is."""
    waiting = [Pending(0, 5, 8, "nobody reads"), Pending(1, 9, 9, "nobody reads")]
    verdict = AuditVerdict(deliveries=1, outputs={}, waiting=waiting)
    assert (verdict.status, verdict.pending) == ("clean", 3)


def test_every_exception_comes_with_advice() -> None:
    """No kind leaves a person without what to do."""
    assert set(ADVICE) == set(FindingKind)


def test_a_program_gets_every_fact_of_the_verdict() -> None:
    """As JSON it has the word, the counts by name, and each finding with what to do about it."""
    finding = AuditFinding(FindingKind.LOST, "d.raw/0/7", "", "nothing was written")
    found = {FindingKind.LOST: 1}
    verdict = AuditVerdict(9, {"orders": 8}, findings=[finding], found=found, waiting=[Pending(0, 5, 8, "later")])
    read = json.loads(json.dumps(verdict_for_programs(verdict)))
    assert (read["verdict"], read["deliveries"], read["pending"]) == ("exceptions", 9, 3)
    assert (read["outputs"], read["found"]) == ({"orders": 8}, {"lost": 1})
    assert read["findings"] == [
        {
            "kind": "lost",
            "raw": "d.raw/0/7",
            "record": "",
            "detail": "nothing was written",
            "what_to_do": ADVICE[FindingKind.LOST],
        }
    ]
    assert read["waiting"] == [{"partition": 0, "first": 5, "end": 8, "why": "later"}]
