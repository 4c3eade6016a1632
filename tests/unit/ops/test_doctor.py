"""The doctor's checks that need no other program."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from ops.audit.state import AuditState
from ops.doctor.audit import examine_audit
from ops.doctor.check_result import CheckResult
from ops.doctor.kafka import examine_compression, examine_group, examine_layout, examine_topics
from ops.doctor.machine import examine_time_zones
from ops.doctor.spool import examine_disk, examine_file_system
from ops.doctor.state import examine_state_dir
from ops.kafka.offsets import PartitionOffsets
from ops.kafka.topics import Comparison, TopicState
from processors.deliver.keys.folder import StateFolder
from processors.runtime.state_store import LogExtent
from schemas.kafka.log_bounds import LogBounds, NotKnown
from schemas.notes.audits import AuditResult, Status
from schemas.notes.layouts import Layout, MigrationPhase
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


def test_a_spool_on_the_network_is_a_warning() -> None:
    """With what to do; a local disk, or no spool at all, is no word worth."""
    sentence = "on a network file system (nfs4), where SQLite's log is unsafe; set ingest.spool_dir to a local disk"
    assert examine_file_system("nfs4", 1) == (CheckResult("warning", "spool's disk", sentence),)
    assert (examine_file_system(None, 1), examine_file_system("nfs4", 0)) == ((), ())


def told_of_state(state_dir: Path, cluster: str | None = "here") -> list[tuple[str, str]]:
    return [(one.level, one.subject) for one in examine_state_dir(state_dir, "d.deliver-state", cluster)]


async def made_store(state_dir: Path, cluster: str, partition: int) -> None:
    log = LogExtent(cluster, "d.deliver-state", partition, 0, 0)
    folder = StateFolder(state_dir)
    await folder.claim(log)
    folder.prepare(log)
    folder.release()


async def test_a_folder_of_state_with_room_and_stores_of_this_cluster_is_fine(tmp_path: Path) -> None:
    """The stores may be there or not yet, and another system's beside them are not looked at."""
    assert told_of_state(tmp_path / "not" / "yet") == [("ok", "state")]
    await made_store(tmp_path, "here", 3)
    (tmp_path / "other.deliver-state" / "0").mkdir(parents=True)
    assert told_of_state(tmp_path) == [("ok", "state")]
    assert told_of_state(tmp_path, None) == [("ok", "state")]


async def test_state_of_another_cluster_is_a_warning_that_names_it(tmp_path: Path) -> None:
    """Two systems with one folder and one prefix throw away each other's stores, again and again."""
    await made_store(tmp_path, "there", 3)
    await made_store(tmp_path, "here", 4)
    (tmp_path / "d.deliver-state" / "5").mkdir()
    assert told_of_state(tmp_path) == [("ok", "state"), ("warning", "state's stores")]
    *_, last = examine_state_dir(tmp_path, "d.deliver-state", "here")
    assert last.sentence.startswith("d.deliver-state/3, 5 is of another cluster or version; ")


def test_a_folder_of_state_that_no_store_can_be_kept_in_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in its place, and a disk that is full, are found before a partition stands still."""
    (tmp_path / "file").write_bytes(b"")
    assert told_of_state(tmp_path / "file")[0] == ("failed", "state")
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=1_000_000))
    assert told_of_state(tmp_path) == [("failed", "state")]


def test_a_missing_topic_fails() -> None:
    """Without its topics nothing works, and the doctor says which verb makes them."""
    finding = examine_topics([Comparison(PLAN, None)])
    assert finding.level == "failed"
    assert finding.sentence == "1 missing, 0 differ; run dropstream topics apply"


def compressed(name: str, codec: str) -> Comparison:
    plan = TopicPlan(name, partitions=1, replication_factor=1, config={})
    return Comparison(plan, TopicState(1, 1, config={"compression.type": codec}, own={}))


def test_the_compression_of_each_topic_is_told() -> None:
    """A topic whose broker compresses is named with its codec; one in a codec that is unknown here fails the check."""
    as_produced, raw = compressed("d.orders", "producer"), compressed("d.raw", "lz4")
    assert examine_compression([as_produced]).sentence == "every topic keeps batches as their producers compress them"
    found = examine_compression([as_produced, raw])
    assert (found.level, found.sentence) == ("ok", "compression.type is lz4 on d.raw; all of it can be read here")
    found = examine_compression([raw, compressed("d.gaps", "brotli")])
    assert found.level == "failed"
    assert found.sentence == (
        "compression.type is brotli on d.gaps; lz4 on d.raw; not all of it can be read here: "
        "install cramjam, or set it to producer"
    )


RAW = TopicPartition("d.raw", 0)
ENDED = PartitionOffsets("d.deliver", RAW, 40, LogBounds(0, 40))


@pytest.mark.parametrize(
    ("members", "found", "level", "sentence"),
    [
        (2, [ENDED], "ok", "0 offsets behind, 2 members"),
        (0, [ENDED], "warning", "0 offsets behind, and it has no member; start dropstream process deliver"),
        (None, [ENDED], "warning", "0 offsets behind; how many members it has is not known, ask again"),
        (
            1,
            [PartitionOffsets("d.deliver", RAW, None, LogBounds(0, 10_001))],
            "warning",
            "10001 offsets behind; watch whether it falls with dropstream offsets show",
        ),
        (
            1,
            [ENDED, PartitionOffsets("d.deliver", RAW, 40, NotKnown("the partition has no leader"))],
            "failed",
            "how far it is in 1 of 2 partitions is not known: the partition has no leader; "
            "dropstream offsets show names them",
        ),
    ],
)
def test_a_group_that_keeps_up_is_well(
    members: int | None, found: list[PartitionOffsets], level: str, sentence: str
) -> None:
    """What nobody can say of a group is never told as well."""
    result = examine_group("deliver", members, found)
    assert (result.subject, result.level, result.sentence) == ("group deliver", level, sentence)


def test_partitions_that_are_not_those_of_the_layout_fail() -> None:
    """What a foreign hand added is named with the way out; a migration that nobody ends is a warning."""
    counts = dict.fromkeys(("raw", "deliver-state", "sequence", "sequence-state"), 4)
    four = Layout(partitions=4)
    assert examine_layout(four, counts, "d.").sentence == "keys are placed among the 4 that are there"
    grown = examine_layout(four, counts | {"raw": 8}, "d.")
    assert grown.level == "failed"
    assert grown.sentence.startswith("d.raw has 8 partitions, and keys are placed among 4: a foreign hand changed")
    assert "Set kafka.partitions to a multiple of 4 that is at least 8" in grown.sentence
    shrunk = examine_layout(four, counts | {"sequence": 1}, "d.")
    assert "made anew with fewer partitions" in shrunk.sentence
    moving = examine_layout(Layout(partitions=4, target=8, phase=MigrationPhase.DRAIN), counts | {"raw": 8}, "d.")
    assert (moving.level, "topics apply --migrate goes on with it" in moving.sentence) == ("warning", True)


def audited(at: str, status: Status, **exceptions: int) -> AuditState:
    result = AuditResult(finished_at=at, status=status, deliveries=9, pending=0, exceptions=exceptions)
    return AuditState(result)


@pytest.mark.parametrize(
    ("state", "level", "sentence"),
    [
        (None, "warning", "what topic audit-state keeps of the last one cannot be read"),
        (AuditState(is_readable=False), "warning", "what topic audit-state keeps of the last one cannot be read"),
        (AuditState(), "warning", "never audited; run dropstream audit, then audit --since-last every hour"),
        (audited("2026-05-21T13:25:00Z", "clean"), "ok", "clean 35 min ago"),
        (audited("2026-05-21T09:01:00Z", "clean"), "ok", "clean 4 h ago"),
        (audited("2026-05-11T14:00:00Z", "clean"), "ok", "clean 10 days ago"),
        (
            audited("2026-05-21T13:59:59Z", "exceptions", lost=2, doubled=1),
            "failed",
            "exceptions 0 min ago: 1 doubled, 2 lost; dropstream audit --since-last names them",
        ),
        (
            audited("2026-05-21T13:00:00Z", "unknown"),
            "warning",
            "unknown 60 min ago; dropstream audit --since-last says what is not known",
        ),
    ],
)
def test_the_last_audit_is_told_with_its_age(state: AuditState | None, level: str, sentence: str) -> None:
    """Only a clean one is fine; exceptions fail, and what is not known is never told as good."""
    finding = examine_audit(state, datetime(2026, 5, 21, 14, tzinfo=UTC))
    assert (finding.level, finding.subject, finding.sentence) == (level, "audit", sentence)
