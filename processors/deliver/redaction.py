"""The provider's JSON in an event, without what says who a person is; pure, and only where the settings ask for it.

Redaction changes no id, key, order or field of the vocabulary: those are made before, of the delivery as it came.
`raw` and `rejected` stay personal, for they hold deliveries whole.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from processors.deliver.personal import PersonalFields, ends_with, is_personal, personal_pair_values, plain_name
from processors.deliver.provider import Fact, Message
from schemas.event_data import Data

MARKER = "[redacted]"


def redacted_data(fact: Fact, message: Message, personal: PersonalFields) -> Data:
    """The fact's data with each personal value in its payload replaced by `MARKER`; the same object without any.

    Null stays null, objects and lists keep their shape; nothing of a replaced value is left, not even its type.
    """
    payload: object = fact.data.payload
    # The payload of a whole message is its bytes; `message.body` is what they hold.
    read = message.body if payload is message.payload else payload
    walk = _Walk(personal.of(fact.domain), frozenset(map(plain_name, personal.maps)))
    cleaned = walk.clean(read, ())
    return fact.data if cleaned == read else replace(fact.data, payload=cleaned)


@dataclass(frozen=True, slots=True)
class _Walk:
    known: Collection[tuple[str, ...]]
    maps: frozenset[str]

    def clean(self, value: Any, path: tuple[str, ...]) -> Any:
        """`value` with its personal fields replaced; `path` has the plain names that lead to it, no list indexes."""
        if isinstance(value, list):
            return [self.clean(one, path) for one in value]
        if not isinstance(value, dict):
            return value
        if path and path[-1] in self.maps:
            return {key: self.clean(inner, (*path, "")) for key, inner in value.items()}
        return self._clean_fields(value, path)

    def _clean_fields(self, fields: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        paired = set(personal_pair_values(fields))
        cleaned = {}
        for key, value in fields.items():
            name = plain_name(key)
            here = (*path, name)
            is_marked = key in paired or is_personal(name) or ends_with(here, self.known)
            cleaned[key] = _marked(value) if is_marked else self.clean(value, here)
        return cleaned


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_marked(one) for one in value]
    return None if value is None else MARKER
