"""Acts of the console: one at a time, each of them ends, and what runs is never forgotten."""

import pytest

from ops.console.acts import Acts
from ops.console.jobs import Jobs
from ops.console.memory import Memory
from ops.console.watch import Watch
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.errors import UsageError

ENDPOINT = '[endpoints.acme]\nprovider = "dreamship"\nsecrets = ["env:SECRET"]\n'
SAMPLE = "dreamship-basic"


def acts_of(text: str) -> Acts:
    context = Context(environ={"SECRET": "a-made-up-secret"}, providers=discover())
    settings = read_configuration(text + ENDPOINT, source="here.toml", context=context)
    return Acts(settings, Watch(settings, Memory(frozenset(settings.endpoints))), start=lambda work: work.close())


async def test_a_job_that_breaks_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that nobody foresaw ends the job and is logged; the next act can begin."""
    acts = acts_of("")
    # No file can say this; it stands for what nobody foresaw.
    console = acts.settings.console.model_copy(update={"ingest_url": "http://host:99999"})
    acts.settings = acts.settings.model_copy(update={"console": console})
    job = await acts.send(SAMPLE, "acme", "somebody")
    told = "ValueError, a fault of the program; the console's log says where"
    assert (job.state, job.outcome) == ("failed", [("failed", told)])
    assert not acts.jobs.is_busy
    assert "console_act_broke" in capsys.readouterr().out


async def test_nothing_begins_while_something_runs() -> None:
    """A sample waits for the end of a redrive, as a redrive and a dry run do."""
    acts = acts_of("")
    acts.jobs.start("redrive", "Redrive of everything", who="somebody", at_ms=0)
    refused = "something is being done already; wait for its end"
    with pytest.raises(UsageError, match=refused):
        await acts.send(SAMPLE, "acme", "somebody")
    with pytest.raises(UsageError, match=refused):
        acts.dry_run_replay(None, None, None, "somebody")
    with pytest.raises(UsageError, match=refused):
        acts.run_plan("any", "somebody")


def test_what_runs_is_never_forgotten() -> None:
    """Twenty acts are remembered, and an older one that still runs."""
    jobs = Jobs()
    running = jobs.start("redrive", "Redrive of everything", who="somebody", at_ms=0)
    for _ in range(30):
        jobs.end(jobs.start("send", "Send", who="somebody", at_ms=0), "done", [])
    assert jobs.is_busy
    assert [one.number for one in jobs.all()] == [*range(31, 11, -1), 1]
    jobs.end(running, "done", [])
    jobs.start("send", "Send", who="somebody", at_ms=0)
    assert [one.number for one in jobs.all()] == [*range(32, 12, -1)]
