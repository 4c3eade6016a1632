"""When the log says that deliveries go to the spool, and when it says that the spool is empty again."""

from pathlib import Path

from structlog.testing import capture_logs

from ingest.spool.episode import SpoolingEpisode


def test_an_episode_is_two_lines() -> None:
    """The first delivery in the spool is told with why, the empty spool with how many there were and how long."""
    clock = [100.0]
    episode = SpoolingEpisode(Path("/spool"), now=lambda: clock[0])
    with capture_logs() as lines:
        episode.look(0)
        for _ in range(1_000):
            episode.note_spooled(kafka_connected=False)
        clock[0] += 30.0
        episode.look(400)
        clock[0] += 12.5
        episode.look(0)
        episode.look(0)
        episode.note_spooled(kafka_connected=True)
    began = {"log_level": "warning", "event": "spooling_began", "path": "/spool"}
    assert lines == [
        {**began, "why": "Kafka cannot be reached"},
        {"log_level": "info", "event": "spooling_ended", "deliveries": 1_000, "lasted_s": 42.5},
        {**began, "why": "Kafka is late, or older deliveries wait"},
    ]
