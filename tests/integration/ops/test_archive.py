"""The class-data archive of a real Java."""

import asyncio
import dataclasses
import subprocess
from pathlib import Path

import pytest

from ops.local.broker.archive import with_archive
from ops.local.broker.runtime import FORMAT_MAIN, JavaRuntime, Launch, Runtime
from tests.support.ports import free_ports
from tests.support.skipped import missing


async def test_a_real_java_starts_from_what_a_trial_has_written(kafka_runtime: Runtime, tmp_path: Path) -> None:
    """It takes Kafka's classes out of the archive, and says so; a JVM that could not would end with an error here."""
    if not isinstance(kafka_runtime, JavaRuntime):
        pytest.skip(missing("Kafka runs in Docker", bring="PATH=FOLDER-OF-JAVA-AND-MAVEN:$PATH make test"))
    without = dataclasses.replace(kafka_runtime, archive=None)
    made = await with_archive(without, tmp_path, lambda _step: None, port=free_ports(2))
    assert made.archive is not None
    assert made.archive.stat().st_size > 10_000_000
    java, *arguments = made.command(Launch(tmp_path, FORMAT_MAIN, ("random-uuid",)))
    ran = await asyncio.to_thread(
        subprocess.run,
        [java, "-Xshare:on", "-Xlog:class+load", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "source: shared objects file (top)" in ran.stdout
