"""A configuration that another process reads is the one that would have been read here, with its faults."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from ops.service.reading import read_beside, read_here
from ops.service.reload import reloading
from ops.service.running_configuration import begun
from ops.service.source import LoadedConfiguration, SettingsSource
from schemas.errors import ConfigurationError
from tests.support.waiting import until

_ENDPOINT = """
[endpoints.shop-{number}]
provider = "{provider}"
secrets = ["env:READING_SECRET", {{ value = "env:READING_SECRET", expires = 2027-01-01T00:00:00Z }}]
token = "file:{token}"
allow_from = ["203.0.113.0/24", "2001:db8::/32"]
rate_per_second = {rate}
"""


def source_of(folder: Path, *, provider: str = "shipstream", rate: str = "5", count: int = 1_000) -> SettingsSource:
    """A configuration of more than 65,536 bytes whose last endpoint is as given."""
    file, token = folder / "dropstream.toml", folder / "token"
    token.write_text("a-token-of-many-letters-for-nobody")
    tables = [
        _ENDPOINT.format(number=number, provider="shipstream", rate=5, token=token) for number in range(count - 1)
    ]
    file.write_text("".join([*tables, _ENDPOINT.format(number=count - 1, provider=provider, rate=rate, token=token)]))
    assert count < 1_000 or file.stat().st_size > 65_536
    return SettingsSource(file, signing_secrets=True)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READING_SECRET", "made-up")


async def test_another_process_reads_the_same(tmp_path: Path) -> None:
    """Text, settings, secrets and what is weak of them; the secrets' values come along, which equality includes."""
    source = source_of(tmp_path, count=3)
    read = (await read_beside(source))()
    assert read == read_here(source)
    last = read.loaded.settings.endpoints["shop-2"]
    assert last.token[0].value == b"a-token-of-many-letters-for-nobody"
    assert [one.value.value for one in last.secrets] == [b"made-up", b"made-up"]
    assert len(read.weak) > 0


async def test_where_the_service_was_started_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder `ops` of somebody else, in which a person stands, is not taken for ours."""
    source = source_of(tmp_path, count=3)
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "__init__.py").write_text("raise ImportError('not ours')")
    monkeypatch.chdir(tmp_path)
    assert (await read_beside(source))() == read_here(source)


async def test_its_faults_are_told_as_if_it_had_been_read_here(tmp_path: Path) -> None:
    """Every fault at once, with its key and the file."""
    source = source_of(tmp_path, provider="shipsteam", rate="0", count=3)
    unpack = await read_beside(source)
    with pytest.raises(ConfigurationError) as beside:
        unpack()
    with pytest.raises(ConfigurationError) as here:
        read_here(source)
    assert str(beside.value) == str(here.value)
    assert "endpoints.shop-2.rate_per_second" in str(beside.value)
    assert "shipstream" in str(beside.value)


async def test_a_reading_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    """A secret that nobody writes keeps the reader waiting; when the time is over, it is ended."""
    source = source_of(tmp_path, count=3)
    (tmp_path / "token").unlink()
    os.mkfifo(tmp_path / "token")
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())  # noqa: ASYNC240 it is memory
    reading = asyncio.create_task(read_beside(source))
    await until(lambda: set(children.read_text().split()) > before)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: set(children.read_text().split()) <= before)


async def test_a_reader_that_dies_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as one of the configuration, so that the settings before it stay in force."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigurationError, match="the process that read it ended with 1"):
        await read_beside(source_of(tmp_path, count=3))


async def test_a_large_configuration_is_read_beside_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread of the service reads it; a fault in its last endpoint changes nothing and is told by name."""
    source = source_of(tmp_path)
    first, registry, asked = source.read(), CollectorRegistry(), asyncio.Event()
    taken: list[LoadedConfiguration] = []

    def read_by_the_service(_: SettingsSource) -> LoadedConfiguration:
        raise AssertionError("the service reads it itself")

    monkeypatch.setattr(SettingsSource, "read", read_by_the_service)
    running = begun(source.file, first.text)
    async with reloading(
        source,
        first.settings,
        asked,
        registry=registry,
        prepare=lambda loaded: lambda: taken.append(loaded),
        running=running,
    ):
        source_of(tmp_path, rate="7")
        asked.set()
        await until(lambda: len(taken) == 1)
        assert taken[0].settings.endpoints["shop-999"].rate_per_second == 7
        source_of(tmp_path, rate="-1")
        asked.set()
        await until(lambda: running.refused_at is not None)
    assert running.text == taken[0].text
    assert [fault.partition(":")[0] for fault in running.faults] == ["endpoints.shop-999.rate_per_second"]
