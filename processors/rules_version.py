"""The version of the rules that this program judges by, as a record of topic `rules` holds it."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import processors
import schemas
from processors.deliver.provider import Provider
from schemas.notes.rules import RulesVersion, digest_of, endpoint_digest
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings
from schemas.topics import record_bytes_max

_DIGEST_BYTES = 8


def rules_version(
    settings: Settings, endpoints: Mapping[str, EndpointSettings], providers: Mapping[str, Provider]
) -> RulesVersion:
    """The rules of `processors.deliver.step` under these settings and endpoints; the partitions are to be filled in."""
    process = settings.process
    common = {
        "topic_prefix": settings.kafka.topic_prefix,
        "record_bytes_max": record_bytes_max(settings),
        "redact_personal_data": process.redact_personal_data,
        "event_time_ahead_hours_max": process.event_time_ahead_hours_max,
        "event_time_behind_days_max": process.event_time_behind_days_max,
        "dedupe_window_hours": process.dedupe_window_hours,
        "dedupe_endpoint_bytes_max": process.dedupe_endpoint_bytes_max,
        "dedupe_partition_bytes_max": process.dedupe_partition_bytes_max,
    }
    digests = {name: endpoint_digest(endpoint) for name, endpoint in endpoints.items()}
    return RulesVersion(
        version=version("dropstream"),
        code=digest_of([_source_digest(), sorted(map(_functions_of, providers.values()))]),
        settings=digest_of([common, digests]),
        common=digest_of(common),
        endpoints=digests,
        partitions={},
        providers={name: endpoint.provider for name, endpoint in endpoints.items()},
    )


def gap_rules_version(settings: Settings) -> RulesVersion:
    """The rules of `processors.sequence.tracker` under these settings."""
    sequence = settings.sequence
    common = digest_of({"grace_seconds": sequence.grace_seconds, "lost_after_hours": sequence.lost_after_hours})
    return RulesVersion(
        version=version("dropstream"),
        code=_source_digest(),
        settings=common,
        common=common,
        endpoints={},
        partitions={},
    )


def _functions_of(provider: Provider) -> str:
    """The names of the functions that read the provider's deliveries: other functions are other rules."""
    functions = [one for one in (provider.claim, provider.interpret, provider.interpret_fetched) if one is not None]
    return " ".join([provider.name, *(f"{one.__module__}.{one.__qualname__}" for one in functions)])


@cache
def _source_digest() -> str:
    """A digest of the source of `schemas` and `processors`, for a version that was changed by hand is another one."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for package in (schemas, processors):
        for root in package.__path__:
            for file in sorted(Path(root).rglob("*.py")):
                digest.update(f"{file.relative_to(root)}\n".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()
