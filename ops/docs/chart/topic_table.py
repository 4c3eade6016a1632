"""The table of topics as the chart's templates read it, `files/topics.json`: for the KafkaTopics of Strimzi.

The sizes and times that follow from settings are computed in the template, by the numbers given here; a test holds
the template to `schemas.topics.plan` under several settings.
"""

import json
from typing import Any

from schemas.sections.kafka import KafkaSettings
from schemas.sections.programs import IngestSettings, ProcessSettings
from schemas.settings import Settings
from schemas.topics import BODIES, BODY_BYTES, ENVELOPE_BYTES, MARGIN_BYTES, TOPICS, Topic, plan

_HOUR_MS = 3_600_000
_FOLLOWS_FROM_SETTINGS = {"max.message.bytes", "min.insync.replicas"}


def topic_table() -> str:
    """The text of the file."""
    kafka, ingest, process = KafkaSettings(), IngestSettings(), ProcessSettings()
    planned = plan(Settings.model_construct(kafka=kafka, ingest=ingest, process=process, endpoints={}))
    table = {
        "defaults": {
            "topic_prefix": kafka.topic_prefix,
            "partitions": kafka.partitions,
            "replication_factor": kafka.replication_factor,
            "body_bytes_max": ingest.body_bytes_max,
            "dedupe_window_hours": process.dedupe_window_hours,
        },
        "bytes": {"bodies": BODIES, "body": BODY_BYTES, "envelope": ENVELOPE_BYTES, "margin": MARGIN_BYTES},
        "hour_ms": _HOUR_MS,
        "topics": [
            _topic(topic, one.config, window_ms=process.dedupe_window_hours * _HOUR_MS)
            for topic, one in zip(TOPICS, planned, strict=True)
        ],
    }
    return json.dumps(table, indent=2) + "\n"


def _topic(topic: Topic, config: dict[str, str], *, window_ms: int) -> dict[str, Any]:
    """One topic: `config` is what no setting changes; `beside_window_ms` is kept beyond the window of retries."""
    fixed = {key: value for key, value in sorted(config.items()) if key not in _FOLLOWS_FROM_SETTINGS}
    beside = {"beside_window_ms": int(fixed.pop("retention.ms")) - window_ms} if topic.keeps_window else {}
    return {"name": topic.name, "config": fixed, **beside}
