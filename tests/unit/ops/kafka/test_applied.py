"""What `topics apply` puts on record: it changes topics first, for it makes the topic of the record."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.kafka.topics import Applied
from ops.kafka.topics_command import record_applied
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.errors import DropstreamError, UsageError

# Nothing listens on port 1 of the loopback.
TEXT = '[kafka]\nbootstrap_servers = "127.0.0.1:1"\n[endpoints]\n'


async def test_what_was_done_and_is_not_on_record_is_said_to_be_done() -> None:
    """Where the record cannot be written, the sentence names the topics that were changed all the same."""
    settings = read_configuration(TEXT, source="here.toml", context=Context(environ={}, providers=discover()))
    with pytest.raises(DropstreamError) as refused:
        await record_applied(settings, Applied(created=("dropstream.acts",), altered=("dropstream.raw",), now=()))
    first, second = str(refused.value).splitlines()[:2]
    assert first == "created or altered, but not on record in topic acts: acts raw"
    assert second.startswith("cannot reach Kafka at 127.0.0.1:1")


def test_who_calls_is_known_before_anything_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller without a name is refused before Kafka is asked for anything."""
    (tmp_path / "dropstream.toml").write_text(TEXT)
    monkeypatch.setenv("DROPSTREAM_ACTOR", "\x1b")
    result = CliRunner().invoke(app, ["topics", "apply", "--config", str(tmp_path / "dropstream.toml")])
    assert isinstance(result.exception, UsageError)
