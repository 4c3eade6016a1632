"""What a configuration that is read again may change, and what not."""

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from ops.service.reload import reloading, restart_needed
from ops.service.running_configuration import begun, digest_of
from ops.service.source import LoadedConfiguration, SettingsSource, write_current_text, write_started_text
from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from tests.support.waiting import until

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
    write_started_text(tmp_path, _STARTED.replace("file:gone", f"file:{tmp_path / 'gone'}"))
    source = SettingsSource(file, signing_secrets=False, folder=tmp_path)
    assert list(source.read().settings.endpoints) == ["older"]
    write_current_text(tmp_path, _CURRENT)
    assert list(source.read().settings.endpoints) == ["newer"]
    write_current_text(tmp_path, "[endpoints")
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
    people = '[console]\ntoken = "env:T"\n[console.people.anna]\ntoken = "env:ANNA"'
    assert restart_needed(before, read(text + people)) == []
    proxy = people.replace("[console]", '[console]\ntrusted_proxies = ["10.0.7.12/32"]') + "\n[console.proxy_login]"
    assert restart_needed(before, read(text + proxy)) == ["console.proxy_login", "console.trusted_proxies"]
    (tmp_path / "password").write_text("two")
    after = read(text.replace("port = 2", "port = 3") + "[sequence]\ngrace_seconds = 1")
    assert restart_needed(before, after) == ["kafka.password", "ingest.port", "sequence.grace_seconds"]


async def test_what_is_read_is_prepared_beside_the_event_loop_and_applied_on_it(tmp_path: Path) -> None:
    """A thread prepares; a file with a fault prepares nothing; afterwards the interpreter runs as it did."""
    file = tmp_path / "dropstream.toml"
    file.write_text(_CURRENT)
    source = SettingsSource(file, signing_secrets=False)
    registry, asked = CollectorRegistry(), asyncio.Event()
    prepared_in: list[int] = []
    applied_in: list[int] = []
    during: list[bool] = []
    interval_s = sys.getswitchinterval()

    def prepare(loaded: LoadedConfiguration) -> Callable[[], None]:
        assert list(loaded.settings.endpoints) == ["newer"]
        prepared_in.append(threading.get_ident())
        during.append(not gc.isenabled() and sys.getswitchinterval() < interval_s)
        return lambda: applied_in.append(threading.get_ident())

    def reloads(result: str) -> float | None:
        return registry.get_sample_value("dropstream_config_reloads_total", {"result": result})

    running = begun(file, _CURRENT)
    async with reloading(source, source.read().settings, asked, registry=registry, prepare=prepare, running=running):
        asked.set()
        await until(lambda: reloads("ok") == 1)
        assert {**running.facts(), "read_at": ""} == {
            "file": str(file),
            "sha256": digest_of(_CURRENT),
            "read_at": "",
            "refused_at": None,
            "faults": [],
        }
        file.write_text("[endpoints")
        asked.set()
        await until(lambda: reloads("failed") == 1)
    assert running.text == _CURRENT
    assert running.refused_at is not None
    assert running.faults == ("not TOML: Expected ']' at the end of a table declaration (at end of document)",)
    assert applied_in == [threading.get_ident()]
    assert len(prepared_in) == 1
    assert prepared_in != applied_in
    assert during == [True]
    assert gc.isenabled()
    assert sys.getswitchinterval() == interval_s
