"""Which sequence id a body carries, as its provider reads it; pure."""

from datetime import datetime

import orjson

from processors.deliver.provider import Interpretation, Message, Provider


def sequence_of(provider: Provider, text: bytes, now: datetime) -> int | None:
    """The sequence id of a body; None where it has none, or cannot be read."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    meaning = provider.interpret(Message(body=body, payload=body, text=text, endpoint="", received_at=now))
    return meaning.sequence if isinstance(meaning, Interpretation) else None


def has_sequence(provider: Provider, now: datetime) -> bool:
    """Whether the provider numbers its deliveries: its own samples say so."""
    return any(sequence_of(provider, sample.body(1, now), now) is not None for sample in provider.samples)
