"""The plans of replays and redrives: found by id, resumed with the same choice, a suffix for one replay alone."""

import pytest

from ops.replay.store import ReplayStore, check_same_choice, check_unused_suffix
from schemas.errors import DropstreamError, UsageError
from schemas.notes.replays import Choice, ReplayPlan


def plan(**choice: str) -> ReplayPlan:
    return ReplayPlan(id="replay-20260521T140000Z-3fa9c1", source="raw", choice=Choice(**choice), ranges=())  # type: ignore[arg-type] # text only


def test_resumed_with_other_options_it_is_refused() -> None:
    """The same command again is right, and so is the id alone; anything else names what differs."""
    check_same_choice(plan(endpoint="acme", into="x"), Choice())
    check_same_choice(plan(endpoint="acme", into="x"), Choice(endpoint="acme", into="x"))
    with pytest.raises(UsageError, match="was begun with --endpoint not given; --resume needs no other option"):
        check_same_choice(plan(into="x"), Choice(endpoint="acme"))
    with pytest.raises(UsageError, match="was begun with --from 2026-05-01"):
        check_same_choice(plan(begin="2026-05-01"), Choice(begin="2026-05-02"))


def test_an_id_is_found_or_the_nearest_is_named() -> None:
    """A slip in an id is told beside the right one."""
    store = ReplayStore({plan().id: plan()})
    assert store.find(plan().id) == plan()
    with pytest.raises(UsageError, match="nearest: replay-20260521T140000Z-3fa9c1"):
        store.find("replay-20260521T140000Z-3fa9c2")
    with pytest.raises(UsageError, match=r"^nothing of the id x was begun$"):
        ReplayStore().find("x")


def test_a_suffix_is_of_one_replay() -> None:
    """Its owner is named, and how to finish it where it is not finished."""
    store = ReplayStore({plan().id: plan(into="fixed")})
    check_unused_suffix(store, "other")
    with pytest.raises(DropstreamError, match=r"hold the data of replay-2026.*finish that one: --resume replay-2026"):
        check_unused_suffix(store, "fixed")
