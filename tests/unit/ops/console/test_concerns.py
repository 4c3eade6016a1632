"""The verdict at the top of the console: what is not well, since when, what to do."""

from dataclasses import replace

from ops.console.concerns import ConcernFacts, concerns
from ops.console.flow import Latency
from ops.console.groups import GroupState
from ops.console.memory import ShownRejection
from ops.console.page_state import newest
from ops.console.scraped_metrics import EndpointBudget, ScrapedMetrics, ScrapedSpool, read_metrics
from ops.console.sources import Sources
from ops.inspect.gaps import MissingRun
from schemas.notes.gaps import GapState

NOW_MS = 1_795_255_200_000  # 2026-11-21T10:00:00Z
WELL = ConcernFacts((), (), ScrapedMetrics(), None, (), ())
EMPTY_SPOOL = ScrapedSpool(
    deliveries=0, refused=0, bytes_used=20_480, bytes_max=10**9, oldest_seconds=0.0, free_bytes=10**9, usable=True
)


def rejection(endpoint: str, reason: str, at_ms: int) -> ShownRejection:
    return ShownRejection("0:1", at_ms, endpoint, reason, "", [], [])


def told(facts: ConcernFacts) -> list[tuple[str, str, int | None]]:
    return [(one.level, one.what, one.since_ms) for one in concerns(facts, now_ms=NOW_MS)]


def test_nothing_is_said_where_all_is_well() -> None:
    """Sources that answer, groups at work, an empty spool, old rejections and old losses are no concern."""
    sources = Sources()
    sources.set("Kafka", "well", now_ms=1)
    facts = ConcernFacts(
        sources.all(),
        (
            GroupState("deliver", 2, 9_000, NOW_MS - 59_000, NOW_MS),
            GroupState("sequence", None, 0, None, NOW_MS - 15_000),
        ),
        ScrapedMetrics(spool=EMPTY_SPOOL, budgets=(EndpointBudget("acme", 0.9),)),
        Latency(10, 50, 9_999, 20_000),
        (MissingRun("acme", 1, 4, 6, GapState.LOST, "2026-11-20T09:59:59.000000Z"),),
        (rejection("acme", "signature_invalid", NOW_MS - 1_800_000),),
    )
    assert told(facts) == []


def test_a_source_that_is_away_is_named_since_it_went() -> None:
    """The beginning of an absence stays while it lasts; Kafka's says what its topics would."""
    sources = Sources()
    sources.set("Kafka", "well", now_ms=1)
    for at_ms in (NOW_MS - 60_000, NOW_MS - 1_000):
        sources.set("Kafka", "away", now_ms=at_ms, detail="cannot reach Kafka at kafka:9092")
        sources.set("Kafka topics", "away", now_ms=at_ms, detail="the same")
    sources.set("ingress at 127.0.0.1:8081", "away", now_ms=NOW_MS - 5_000, detail="nothing answers")
    assert told(replace(WELL, sources=sources.all())) == [
        ("bad", "Kafka: cannot reach Kafka at kafka:9092", NOW_MS - 60_000),
        ("bad", "ingress at 127.0.0.1:8081: nothing answers", NOW_MS - 5_000),
    ]


def test_groups_that_do_not_work() -> None:
    """A group without members is worse than one that is behind by a minute or 10,000 records."""
    groups = (
        GroupState("sequence", 1, 10_001, None, NOW_MS),
        GroupState("deliver", 0, 1, NOW_MS - 9_000, NOW_MS),
    )
    assert told(replace(WELL, groups=groups)) == [
        ("bad", "Group deliver has no member; 1 record wait", NOW_MS - 9_000),
        ("warn", "Group sequence is behind by 10,001 records", None),
    ]
    late = (GroupState("deliver", 1, 2, NOW_MS - 61_000, NOW_MS),)
    assert told(replace(WELL, groups=late)) == [("warn", "Group deliver is behind by 2 records", NOW_MS - 61_000)]


def test_what_is_not_known_of_a_group_is_no_good_news() -> None:
    """An answer that is old, and a partition of which nobody can say how far the group is, are told as not known."""
    groups = (
        GroupState("deliver", 1, 0, None, NOW_MS - 15_001),
        GroupState("sequence", 1, 0, None, NOW_MS, unknown=2, why="the partition has no leader"),
    )
    assert told(replace(WELL, groups=groups)) == [
        ("bad", "What group deliver does is not known", NOW_MS - 15_001),
        ("bad", "How far group sequence is in 2 partitions is not known: the partition has no leader", None),
    ]


def test_a_delivery_counts_whether_kafka_or_the_disk_has_it() -> None:
    """The last delivery is the newest that was answered 200, be it in `raw` or still in a spool."""
    text = "\n".join(
        f'dropstream_ingest_last_success_timestamp_seconds{{endpoint="{name}"}} {at}'
        for name, at in (("acme", 1_795_255_183.25), ("beta", 1_795_254_900.0))
    )
    scraped = read_metrics([text + "\n"])
    assert scraped.delivered_at_ms == 1_795_255_183_250
    assert newest(NOW_MS - 300_000, scraped.delivered_at_ms) == NOW_MS - 16_750
    assert newest(None, None) is None


def test_spool_gaps_rejections_latency_and_budgets() -> None:
    """Each has its sentence with figures, and the time since when it is so."""
    spool = replace(EMPTY_SPOOL, deliveries=3, refused=1, oldest_seconds=60.0)
    facts = ConcernFacts(
        (),
        (),
        ScrapedMetrics(spool=spool, budgets=(EndpointBudget("acme", 0.0), EndpointBudget("beta", 0.49))),
        Latency(10, 50, 12_000, 20_000),
        (
            MissingRun("acme", 1, 4, 6, GapState.OPEN, "2026-11-21T09:50:00.000000Z"),
            MissingRun("acme", 1, 9, 9, GapState.LOST, "2026-11-21T09:40:00.000000Z"),
        ),
        (
            rejection("acme", "signature_invalid", NOW_MS - 2_000),
            rejection("acme", "signature_invalid", NOW_MS - 1_000),
            rejection("", "signature_invalid", NOW_MS - 3_000),
            rejection("acme", "made_up", NOW_MS),
        ),
    )
    assert told(facts) == [
        ("bad", "Kafka refuses 1 spooled delivery", None),
        ("bad", "acme has 0 % of its failure budget left", None),
        ("warn", "1 sequence id lost in the last day: acme", NOW_MS - 1_200_000),
        ("warn", "3 sequence ids missing: acme", NOW_MS - 600_000),
        ("warn", "3 deliveries wait on the ingress's disk", NOW_MS - 60_000),
        ("warn", "3 deliveries rejected, signature_invalid: acme 2, unknown endpoint 1", NOW_MS - 3_000),
        ("warn", "1 delivery rejected, made_up: acme 1", NOW_MS),
        ("warn", "One event in a hundred takes 12 s or more from receipt until written", None),
        ("warn", "beta has 49 % of its failure budget left", None),
    ]
    assert all(one.todo for one in concerns(facts, now_ms=NOW_MS))


def test_a_disk_that_takes_nothing_is_said_where_one_is_wanted() -> None:
    """Broken it is bad before anything waits there; switched off it is nobody's concern."""
    broken = replace(EMPTY_SPOOL, usable=False)
    said = [("bad", "The ingress's disk takes no deliveries", None)]
    assert told(replace(WELL, metrics=ScrapedMetrics(spool=broken))) == said
    assert told(replace(WELL, metrics=ScrapedMetrics(spool=replace(broken, bytes_max=0)))) == []


def test_each_harm_to_the_spool_is_said() -> None:
    """A disk that hangs, damaged deliveries, files that cannot be read, partitions that are late: each has its line."""
    harmed = replace(EMPTY_SPOOL, usable=False, hung=True, damaged=2, unread_files=1)
    assert told(replace(WELL, metrics=ScrapedMetrics(spool=harmed, partitions_overdue=3))) == [
        ("bad", "The ingress's disk does not answer", None),
        ("bad", "The ingress's disk damaged 2 spooled deliveries", None),
        ("bad", "The ingress cannot read 1 file of its spool", None),
        ("warn", "Kafka does not take deliveries in time on 3 partitions", None),
    ]
    text = """# TYPE dropstream_ingest_spool_usable gauge
dropstream_ingest_spool_usable{worker="0"} 1.0
dropstream_ingest_spool_usable{worker="1"} 1.0
# TYPE dropstream_ingest_spool_damaged gauge
dropstream_ingest_spool_damaged{worker="0"} 1.0
dropstream_ingest_spool_damaged{worker="1"} 1.0
# TYPE dropstream_ingest_spool_unread_files gauge
dropstream_ingest_spool_unread_files{worker="0"} 0.0
dropstream_ingest_spool_unread_files{worker="1"} 1.0
# TYPE dropstream_ingest_spool_hung gauge
dropstream_ingest_spool_hung{worker="0"} 0.0
dropstream_ingest_spool_hung{worker="1"} 1.0
# TYPE dropstream_ingest_partitions_overdue gauge
dropstream_ingest_partitions_overdue{worker="0"} 3.0
dropstream_ingest_partitions_overdue{worker="1"} 2.0
# TYPE dropstream_process_suspected_ids gauge
dropstream_process_suspected_ids{endpoint="acme",worker="0"} 3.0
dropstream_process_suspected_ids{endpoint="acme",worker="1"} 2.0
dropstream_process_suspected_ids{endpoint="calm",worker="0"} 0.0
"""
    found = read_metrics([text])
    assert found.suspected == {"acme": 5}
    assert found.partitions_overdue == 3
    assert found.spool == ScrapedSpool(
        deliveries=0,
        refused=0,
        bytes_used=0,
        bytes_max=0,
        oldest_seconds=0.0,
        free_bytes=0,
        usable=True,
        damaged=2,
        unread_files=1,
        hung=True,
    )


def test_figures_of_several_workers_are_added_up() -> None:
    """Counts are sums, ages the greatest, free space the least, and the disk is usable where all say so."""
    text = """# TYPE dropstream_ingest_spool_deliveries gauge
dropstream_ingest_spool_deliveries{worker="0"} 2.0
dropstream_ingest_spool_deliveries{worker="1"} 3.0
# TYPE dropstream_ingest_spool_oldest_seconds gauge
dropstream_ingest_spool_oldest_seconds{worker="0"} 7.5
dropstream_ingest_spool_oldest_seconds{worker="1"} 1.0
# TYPE dropstream_ingest_spool_free_bytes gauge
dropstream_ingest_spool_free_bytes{worker="0"} 100.0
dropstream_ingest_spool_free_bytes{worker="1"} 90.0
# TYPE dropstream_ingest_spool_bytes_max gauge
dropstream_ingest_spool_bytes_max{worker="0"} 100.0
dropstream_ingest_spool_bytes_max{worker="1"} 100.0
# TYPE dropstream_ingest_spool_usable gauge
dropstream_ingest_spool_usable{worker="0"} 1.0
dropstream_ingest_spool_usable{worker="1"} 0.0
"""
    found = read_metrics([text, "# nothing of ours\n"]).spool
    assert found == ScrapedSpool(
        deliveries=5, refused=0, bytes_used=0, bytes_max=200, oldest_seconds=7.5, free_bytes=90, usable=False
    )
    assert read_metrics([]) == ScrapedMetrics()


def test_the_budget_is_of_the_worst() -> None:
    """Of several processes the one that failed most says how much of a provider's patience is left."""
    text = """# TYPE dropstream_ingest_failure_budget_used_ratio gauge
dropstream_ingest_failure_budget_used_ratio{endpoint="acme",worker="0"} 0.25
dropstream_ingest_failure_budget_used_ratio{endpoint="acme",worker="1"} 0.75
dropstream_ingest_failure_budget_used_ratio{endpoint="beta",worker="0"} 0.0
"""
    assert read_metrics([text]).budgets == (EndpointBudget("acme", 0.25), EndpointBudget("beta", 1.0))
