"""What a configuration that is read again may change, and what not."""

from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry

from ops.service.reload import SettingsSource, give_current, give_started, restart_needed
from processors.deliver.dedupe import DedupeStore
from processors.metrics import ProcessMetrics
from processors.runtime.batch import Batch
from processors.runtime.group_spec import GroupSpec
from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.records import RawRecord, Record
from schemas.settings import Settings

_CONTEXT = Context(environ={}, providers=["shipstream"], signing_secrets=False)
_STARTED = """
[kafka]
partitions = 3
[ingest]
port = 1
[endpoints.older]
provider = "shipstream"
secrets = ["env:GONE"]
token = "file:gone"
"""
_CURRENT = """
[ingest]
port = 2
[process]
admin_port = 3
[endpoints.newer]
provider = "shipstream"
secrets = ["env:SECRET"]
"""


def read(text: str, started: str | None = None) -> Settings:
    return read_configuration(text, source="test", context=_CONTEXT, started=started)


def test_endpoints_are_new_and_all_else_is_as_it_was() -> None:
    """Tables other than endpoints stay, those that are new are not taken, and nobody looks for an old secret."""
    settings = read(_CURRENT, started=_STARTED)
    assert (settings.kafka.partitions, settings.ingest.port, settings.process.admin_port) == (3, 1, 8082)
    assert list(settings.endpoints) == ["newer"]


def test_a_text_without_endpoints_is_a_fault_then_too() -> None:
    """The old endpoints do not stand in for those that are missing."""
    with pytest.raises(ConfigurationError, match="endpoints: is missing"):
        read("[ingest]\nport = 2", started=_STARTED)


def test_a_worker_reads_what_its_parent_laid_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the file that a person edits; that one is named in a fault all the same."""
    monkeypatch.setattr("os.environ", {})
    file = tmp_path / "dropstream.toml"
    file.write_text("broken")
    (tmp_path / "gone").write_text("a-token")
    give_started(tmp_path, _STARTED.replace("file:gone", f"file:{tmp_path / 'gone'}"))
    source = SettingsSource(file, signing_secrets=False, folder=tmp_path)
    assert list(source.read().settings.endpoints) == ["older"]
    give_current(tmp_path, _CURRENT)
    assert list(source.read().settings.endpoints) == ["newer"]
    give_current(tmp_path, "[endpoints")
    with pytest.raises(ConfigurationError) as refused:
        source.read()
    assert refused.value.source == str(file)


def test_what_needs_a_restart_is_named(tmp_path: Path) -> None:
    """Every key outside endpoints that differs, a password in a file too; no key of an endpoint."""
    (tmp_path / "password").write_text("one")
    text = f"""
    [kafka]
    username = "u"
    password = "file:{tmp_path / "password"}"
    [ingest]
    port = 2
    [endpoints]
    """
    before = read(text)
    assert restart_needed(before, read(text + '[endpoints.a]\nprovider = "shipstream"\nsecrets = ["env:A"]')) == []
    account = '[shipstream.a]\nurl = "https://a.example"\nusername = "api"\napi_key = "env:A"'
    assert restart_needed(before, read(text + account)) == []
    (tmp_path / "password").write_text("two")
    after = read(text.replace("port = 2", "port = 3") + "[sequence]\ngrace_seconds = 1")
    assert restart_needed(before, after) == ["kafka.password", "ingest.port", "sequence.grace_seconds"]


async def test_a_transaction_is_judged_by_one_snapshot() -> None:
    """What changes in the middle of a transaction counts from the next one on."""
    current = "old"

    def new_step() -> "Step":
        return Step(current)

    class Step:
        def __init__(self, name: str) -> None:
            self._name = name

        def __call__(self, raw: RawRecord, _seen: DedupeStore) -> tuple[Record, ...]:
            nonlocal current
            current = "new"
            return (Record("orders", raw.key or b"", self._name.encode()),)

    work = GroupSpec(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=new_step,
        new_state=lambda: DedupeStore(window_s=1, keys_max=1),
        settings=read("[endpoints]"),
        metrics=ProcessMetrics(CollectorRegistry()),
    )
    records = [ConsumerRecord("raw", 0, offset, 0, 0, b"", b"", 0, 0, 0, ()) for offset in range(3)]
    first, second = (Batch(work, work.new_state(), records) for _ in range(2))
    assert [output.value async for outputs in first for output in outputs] == [b"old", b"old", b"old"]
    assert [output.value async for outputs in second for output in outputs] == [b"new", b"new", b"new"]
