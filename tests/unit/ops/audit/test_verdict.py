"""The verdict in one word: an exception outweighs doubt, and doubt is never clean."""

import pytest

from ops.audit.verdict import ADVICE, AuditVerdict, FindingKind, Pending


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
