"""The audit's judgement on replays and redrives: what it must find, and what it must not."""

from ops.audit_replays import Marked, ReplayVerdict
from ops.replay_store import Store
from schemas.replays import Choice, Plan, Progress, Range, progress_key

REPLAY = "replay-20260521T140000Z-3fa9c1"
REDRIVE = "redrive-20260521T140000Z-3fa9c1"
OTHER_REDRIVE = "redrive-20260522T140000Z-3fa9c1"
RAW = {(0, offset): b"" for offset in range(3)}


def store(replay: str = REPLAY, *, finished: bool = True, **counts: int) -> Store:
    source = "raw" if replay == REPLAY else "rejected"
    plan = Plan(id=replay, source=source, choice=Choice(), ranges=(Range(0, 0, 3),), finished=finished)  # type: ignore[arg-type] # one of two words
    return Store({replay: plan}, {progress_key(replay, 0): Progress(**counts)})


def marked(*events: tuple[str, str, int]) -> Marked:
    """Events as replay, id and offset in partition 0 of raw."""
    taken = Marked()
    for replay, event_id, offset in events:
        taken.take(replay, "d.orders", b"k", event_id, (0, offset))
    return taken


ALL = ((REPLAY, "a", 0), (REPLAY, "b", 1), (REPLAY, "c", 2))


def test_a_whole_replay_is_no_double_of_the_originals() -> None:
    """Every original once more, marked: nothing to tell but the count."""
    verdict = marked(*ALL).judge(store(next=3, became=3, events=3), RAW, {"a", "b", "c"}, ())
    assert verdict == ReplayVerdict({f"events of {REPLAY}": 3})


def test_what_a_replay_lost_is_told() -> None:
    """Fewer events than its progress says, and fewer deliveries than its range has."""
    verdict = marked(*ALL[:2]).judge(store(next=3, became=3, events=3), RAW, (), ())
    assert verdict.lost == (
        f"{REPLAY}: 2 deliveries that became events, 3 expected",
        f"{REPLAY}: 2 events, 3 expected",
    )
    skipped = marked(*ALL[:2]).judge(store(next=3, became=2, events=2), RAW, (), ())
    assert skipped.lost == (f"{REPLAY}: 2 deliveries, 3 expected",)


def test_what_is_deleted_since_is_no_loss() -> None:
    """Raw records that are gone, and topics of its own that are, accuse nobody."""
    done = store(next=3, became=3, events=3)
    assert marked(*ALL).judge(done, {}, (), ()).lost == ()
    plan = Plan(id=REPLAY, source="raw", choice=Choice(into="x"), ranges=(Range(0, 0, 3),), finished=True)
    gone = Marked().judge(Store({REPLAY: plan}, done.progress), RAW, (), {"x"})
    assert gone == ReplayVerdict({})


def test_an_event_twice_in_a_replay_is_doubled() -> None:
    """The same id under the same mark."""
    verdict = marked(*ALL, (REPLAY, "c", 2)).judge(store(next=3, became=3, events=4), RAW, (), ())
    assert verdict.doubled == (f"c of {REPLAY}",)


def test_a_redriven_event_is_nobody_else_s() -> None:
    """Neither an original's, nor another redrive's; a replay may have it again."""
    done = store(REDRIVE, next=3, became=1, events=1)
    assert marked((REDRIVE, "a", 0), (REPLAY, "a", 0)).judge(done, RAW, {"z"}, ()).doubled == ()
    assert marked((REDRIVE, "a", 0)).judge(done, RAW, {"a"}, ()).doubled == (f"a of {REDRIVE}",)
    both = marked((REDRIVE, "a", 0), (OTHER_REDRIVE, "a", 0)).judge(done, RAW, (), ())
    assert both.doubled == (f"a of {REDRIVE}", f"a of {OTHER_REDRIVE}")


def test_order_is_judged_within_a_replay() -> None:
    """An entity's events in the order of their deliveries, each replay for itself."""
    in_order = marked((REDRIVE, "a", 0), (REDRIVE, "b", 1), (OTHER_REDRIVE, "c", 0))
    assert in_order.judge(Store(), RAW, (), ()).disordered == ()
    assert marked((REDRIVE, "b", 1), (REDRIVE, "a", 0)).judge(Store(), RAW, (), ()).disordered == (f"a of {REDRIVE}",)


def test_an_unfinished_replay_is_named_and_not_accused() -> None:
    """What is missing may still come: it is resumed by its id."""
    verdict = marked(*ALL[:1]).judge(store(finished=False, next=1, became=1, events=1), RAW, (), ())
    assert verdict == ReplayVerdict({f"unfinished {REPLAY}": 1})
