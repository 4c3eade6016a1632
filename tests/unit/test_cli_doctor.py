"""The doctor's checks that need no other program."""

from pathlib import Path

from ops.doctor import examine_disk, examine_time_zones, examine_topics
from ops.topics import Comparison
from schemas.topics import TopicPlan

PLAN = TopicPlan("d.raw", partitions=1, replication_factor=1, config={})


def test_this_machine_knows_when_madrid_changes_its_clocks() -> None:
    """Dropea's times rest on the time zone database, so its rules are looked at, not its presence."""
    assert examine_time_zones().level == "ok"


def test_a_spool_with_room_is_fine_before_it_exists(tmp_path: Path) -> None:
    """The directory is made later; where it will be is what counts."""
    assert examine_disk(tmp_path / "not" / "yet", 1).level == "ok"


def test_a_spool_larger_than_the_disk_is_a_warning(tmp_path: Path) -> None:
    """A bound that cannot be kept is told with what to do."""
    finding = examine_disk(tmp_path, 2**62)
    assert finding.level == "warning"
    assert "lower spool_bytes_max" in finding.sentence


def test_a_spool_that_cannot_be_written_fails(tmp_path: Path) -> None:
    """A file where the directory should be is found before a delivery is refused."""
    (tmp_path / "spool").write_bytes(b"")
    assert examine_disk(tmp_path / "spool", 1).level == "failed"


def test_a_missing_topic_fails() -> None:
    """Without its topics nothing works, and the doctor says which verb makes them."""
    finding = examine_topics([Comparison(PLAN, None)])
    assert finding.level == "failed"
    assert finding.sentence == "1 missing, 0 differ; run dropstream topics apply"
