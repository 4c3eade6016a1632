"""Acts of the console: one at a time, each of them ends, and what runs is never forgotten."""

from dataclasses import dataclass, field

import pytest

from ops.console.acting.acts import Acts
from ops.console.acting.shown_acts import ShownActs
from ops.console.memory import Memory
from ops.console.watch import Watch
from ops.people.act_log import ActLog
from ops.people.person import Asker, Person, Role
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.errors import DropstreamError, UsageError
from schemas.notes.acts import Act, KnownBy

ENDPOINT = '[endpoints.acme]\nprovider = "dreamship"\nsecrets = ["env:SECRET"]\n'
SAMPLE = "dreamship-basic"
SOMEBODY = Asker(Person("somebody", Role.ACT, KnownBy.TOKEN), "192.0.2.7", "session-3fa9c1")


@dataclass(slots=True)
class Record:
    """What is on record; with `broken`, nothing can be put there."""

    acts: list[Act] = field(default_factory=list)
    broken: bool = False

    async def write(self, act: Act) -> None:
        if self.broken:
            raise DropstreamError("no such topic: dropstream.acts")
        self.acts.append(act)


RECORD = Record()


@pytest.fixture(autouse=True)
def _nothing_on_record() -> None:
    RECORD.acts, RECORD.broken = [], False


def acts_of(text: str) -> Acts:
    context = Context(environ={"SECRET": "a-made-up-secret"}, providers=discover())
    settings = read_configuration(text + ENDPOINT, source="here.toml", context=context)
    watch = Watch(settings, Memory(frozenset(settings.endpoints)))
    return Acts(settings, watch, start=lambda work: work.close(), log=ActLog(RECORD.write))


async def test_an_act_that_breaks_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that nobody foresaw ends the act and is logged; the next act can begin."""
    acts = acts_of("")
    # No file can say this; it stands for what nobody foresaw.
    console = acts.settings.console.model_copy(update={"ingest_url": "http://host:99999"})
    acts.settings = acts.settings.model_copy(update={"console": console})
    act = await acts.send(SAMPLE, "acme", SOMEBODY)
    told = "ValueError, a fault of the program; the console's log says where"
    assert (act.state, act.outcome) == ("failed", [("failed", told)])
    assert not acts.shown.is_busy
    assert "console_act_broke" in capsys.readouterr().out
    begun, failed = RECORD.acts
    assert (begun.stage, begun.who, begun.endpoint, begun.about) == ("begun", "somebody", "acme", SAMPLE)
    assert (failed.id, failed.stage, failed.failure) == (begun.id, "failed", "ValueError")


async def test_what_cannot_be_put_on_record_is_not_done() -> None:
    """Where topic `acts` takes nothing, the act has failed before it began, and the page says so."""
    RECORD.broken = True
    acts = acts_of('[console]\ningest_url = "http://127.0.0.1:1"\n')
    act = await acts.send(SAMPLE, "acme", SOMEBODY)
    told = "not done, for it cannot be put on record in topic acts: no such topic: dropstream.acts"
    assert (act.state, act.outcome) == ("failed", [("failed", told)])
    assert not acts.shown.is_busy


async def test_nothing_begins_while_something_runs() -> None:
    """A sample waits for the end of a redrive, as a redrive and a dry run do."""
    acts = acts_of("")
    acts.shown.start("redrive", "Redrive of everything", who="somebody", at_ms=0)
    refused = "something is being done already; wait for its end"
    with pytest.raises(UsageError, match=refused):
        await acts.send(SAMPLE, "acme", SOMEBODY)
    with pytest.raises(UsageError, match=refused):
        acts.dry_run_replay(None, None, None, SOMEBODY)
    with pytest.raises(UsageError, match=refused):
        acts.run_plan("any", SOMEBODY)


async def test_what_is_not_known_begins_nothing() -> None:
    """A plan that is no longer kept, and a sample of another provider, are refused and not put on record."""
    acts = acts_of("")
    with pytest.raises(UsageError, match="this plan is no longer known; look again"):
        acts.run_plan("redrive-20260301T120000Z-1", SOMEBODY)
    with pytest.raises(UsageError, match="acme is not an endpoint of shipstream"):
        await acts.send("shipstream-order-created", "acme", SOMEBODY)
    assert (acts.shown.all(), RECORD.acts) == ([], [])


def test_what_runs_is_never_forgotten() -> None:
    """Twenty acts are remembered, and an older one that still runs."""
    shown = ShownActs()
    running = shown.start("redrive", "Redrive of everything", who="somebody", at_ms=0)
    for _ in range(30):
        shown.end(shown.start("send", "Send", who="somebody", at_ms=0), "done", [])
    assert shown.is_busy
    assert [one.number for one in shown.all()] == [*range(31, 11, -1), 1]
    shown.end(running, "done", [])
    shown.start("send", "Send", who="somebody", at_ms=0)
    assert [one.number for one in shown.all()] == [*range(32, 12, -1)]
