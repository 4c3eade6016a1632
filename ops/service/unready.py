"""Why a service is not ready, or not whole, in phrases for a person, from the facts that its admin port shows."""

from collections.abc import Iterator
from typing import Any


def unready_reasons(facts: object) -> list[str]:
    """The reasons in the answer of `/readyz`, decoded; of workers, those of each, once."""
    return list(dict.fromkeys(reason for part in _parts(facts) for reason in _reasons(part)))


def _parts(facts: object) -> list[dict[str, Any]]:
    workers = facts.get("workers") if isinstance(facts, dict) else None
    parts = list(workers.values()) if isinstance(workers, dict) else [facts]
    return [part for part in parts if isinstance(part, dict)]


def _reasons(part: dict[str, Any]) -> Iterator[str]:
    if part.get("stopping") is True:
        yield "it stops"
    for name, value in part.items():
        group = name.removesuffix("_connected")
        if group == name or value is not False:
            continue
        silent_s = part.get(f"{group}_kafka_silent_seconds")
        since = f" for {silent_s:.0f} s" if isinstance(silent_s, int | float) else ""
        yield f"Kafka does not answer it{since}" if group == "kafka" else f"Kafka does not answer group {group}{since}"
    for name, value in part.items():
        group = name.removesuffix("_partitions_opening")
        if group != name and isinstance(value, int) and value > 0 and part.get(f"{group}_connected") is not False:
            yield f"group {group} opens {value} partition{'s' if value > 1 else ''}"
    if isinstance(refused := part.get("addresses_unreadable"), int) and refused > 0:
        one = refused == 1
        yield (
            f"allow_from refused {refused} request{'' if one else 's'} whose address nobody can read in the "
            "X-Forwarded-For of a trusted proxy; forwarded_for_unreadable in its log names the endpoint"
        )
