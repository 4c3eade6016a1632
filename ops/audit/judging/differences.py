"""Compares an expected record with the record that came in its place, and names a record in a few words. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from ops.audit.judging.records import ActualRecord, ExpectedRecord, OutputPartition, OutputRecord

EVENT = "event"
OBSERVATION = "observation"


def kind_of(output: OutputPartition) -> str:
    """The kind of the records of an output partition: `rejected`, `retry`, `observation` or `event`."""
    return {"rejected": "rejected", "duplicates": "retry", "sequence": OBSERVATION}.get(output[0], EVENT)


def named(record: ActualRecord) -> str:
    """A few words that name the record to a person; nothing of a body."""
    if kind_of(record.output) != EVENT:
        return f"a record of {record.output[0]}"
    return f"event {(event_id(record.value) or 'without an id')[:40]}"


def event_id(value: bytes) -> str | None:
    """The id in the JSON of an event; None where `value` has none."""
    event = _parsed(value)
    found = event.get("id") if isinstance(event, dict) else None
    return found if isinstance(found, str) else None


def has_same_id(one: OutputRecord, other: OutputRecord) -> bool:
    """Whether both are events of one id."""
    found = event_id(other.value)
    return found is not None and found == event_id(one.value)


def differences(expected: ExpectedRecord, actual: ActualRecord) -> Iterator[str]:
    """The names of what differs: attributes of the JSON, `data.` and one level into it, then headers."""
    if expected.value != actual.value:
        one, other = _parsed(expected.value), _parsed(actual.value)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from list(_keys(one, other, "")) or ["the bytes of its JSON"]
        else:
            yield "its value"
    if expected.headers != actual.headers:
        names = sorted({name for name, _ in set(expected.headers) ^ set(actual.headers)})
        yield from (f"header {name}" for name in names) if names else ("the order of headers",)


def _keys(one: dict[str, Any], other: dict[str, Any], prefix: str) -> Iterator[str]:
    for name in {**one, **other}:
        here, there = one.get(name, _parsed), other.get(name, _parsed)
        if here == there:
            continue
        if name == "data" and isinstance(here, dict) and isinstance(there, dict):
            yield from _keys(here, there, "data.")
        else:
            yield prefix + name[:80]


def _parsed(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except ValueError:
        return None
