"""Makes the files of `dropstream schemas export` as texts: JSON Schemas, the AsyncAPI document, the page."""

import json

import orjson

from ops.docs.asyncapi import asyncapi
from ops.docs.channels import CHANNELS
from ops.docs.examples import Examples, examples
from ops.docs.json_schema import schemas
from ops.docs.topics_page import topics_page

# A schema has the examples of its topic that say most; the page and the AsyncAPI document have all.
_EXAMPLES_MAX = 3

ASYNCAPI = "asyncapi.v1.json"
PAGE = "topics.html"


def exported() -> dict[str, str]:
    """Every file by name; the same code gives the same text on any machine."""
    found = examples()
    documents = {**schemas(_values(found)), ASYNCAPI: asyncapi(found)}
    texts = {name: json.dumps(one, indent=2, ensure_ascii=False) + "\n" for name, one in documents.items()}
    return {**texts, PAGE: topics_page(found)}


def _values(found: Examples) -> dict[str, list[object]]:
    return {
        one.topic: sorted(
            (orjson.loads(record.value) for record in found[one.topic]),
            key=_filled_fields,
            reverse=True,
        )[:_EXAMPLES_MAX]
        for one in CHANNELS
        if one.schema is not None
    }


def _filled_fields(value: dict[str, object]) -> int:
    """How many fields of the value, or of an event's `data`, are filled."""
    data = value.get("data", value)
    return sum(bool(one) for one in data.values()) if isinstance(data, dict) else 0
