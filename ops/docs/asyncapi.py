"""The topics as an AsyncAPI 3.0 document: channels, messages, keys, headers, payloads, and real records as examples.

Made from `ops.docs.channels`, `schemas.topics` and the JSON Schemas, so it cannot say anything else than they do. Its
payloads are in AsyncAPI's default form (a superset of JSON Schema draft 7), which every tool reads.
Format: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ops.docs.channels import CHANNELS, Channel, HeaderField
from ops.docs.json_schema import schemas
from schemas.records import Record
from schemas.settings import Settings
from schemas.topics import TopicPlan, plan

_KAFKA_BINDING = "0.5.0"
_BYTES = {"type": "string", "format": "binary", "description": "The exact body, as the provider sent it."}
_ABOUT = """What dropstream writes, for those who read it. Read with `isolation.level=read_committed`.
Keys are partitioned as Kafka's Java client does it (murmur2), so all records of one key are in one partition, in order.
The names of topics begin with `kafka.topic_prefix`; here it is the default, `dropstream.`, and so are the figures."""


def asyncapi(examples: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    """The document; `examples` are records by the short name of their topic."""
    plans = {one.name: one for one in plan(Settings(endpoints={}))}
    prefix = Settings(endpoints={}).kafka.topic_prefix
    components: dict[str, Any] = {}
    for name, schema in schemas().items():
        _add_component(schema, components, title=name)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dropstream topics",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {one.topic: _channel(one, plans[prefix + one.topic]) for one in CHANNELS},
        "operations": {f"write_{one.topic}": _operation(one) for one in CHANNELS},
        "components": {
            "messages": {one.message: _message(one, examples.get(one.topic, ())) for one in CHANNELS},
            "schemas": dict(sorted(components.items())),
        },
    }


def _server() -> dict[str, Any]:
    bootstrap = {"default": "127.0.0.1:9092", "description": "A broker of your cluster, host:port."}
    return {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "description": "Your Kafka cluster.",
        "variables": {"bootstrap": bootstrap},
    }


def _channel(channel: Channel, topic: TopicPlan) -> dict[str, Any]:
    kept = {
        "cleanup.policy": [topic.config["cleanup.policy"]],
        "retention.ms": int(topic.config["retention.ms"]),
        "max.message.bytes": int(topic.config["max.message.bytes"]),
    }
    return {
        "address": topic.name,
        "title": channel.topic,
        "description": channel.meaning,
        "messages": {channel.message: {"$ref": f"#/components/messages/{channel.message}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "replicas": topic.replication_factor,
                "topicConfiguration": kept,
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _operation(channel: Channel) -> dict[str, Any]:
    """The operation of a channel from dropstream's side, as the format wants it: a consumer receives what it sends."""
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel.topic}"},
        "summary": f"dropstream writes {channel.topic}; a consumer reads it.",
        "messages": [{"$ref": f"#/channels/{channel.topic}/messages/{channel.message}"}],
    }


def _message(channel: Channel, examples: Sequence[Record]) -> dict[str, Any]:
    payload = {"$ref": f"#/components/schemas/{channel.message}"} if channel.schema else _BYTES
    key = {"type": "string", "description": "Decides the partition.", "examples": [channel.key_example]}
    return {
        "name": channel.message,
        "title": channel.message,
        "summary": channel.meaning,
        "contentType": channel.content_type,
        "headers": _headers(channel.headers),
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": _KAFKA_BINDING}},
        "examples": [_example(channel, record) for record in examples],
    }


def _headers(fields: Sequence[HeaderField]) -> dict[str, Any]:
    properties = {one.name: {"type": "string", "description": one.meaning, "examples": [one.example]} for one in fields}
    return {"type": "object", "properties": properties, "required": [one.name for one in fields if one.always]}


def _example(channel: Channel, record: Record) -> dict[str, Any]:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    payload = orjson.loads(record.value) if channel.schema else record.value.decode("utf-8", "replace")
    kinds = (headers.get(name) for name in ("type", "dropstream-reason", "dropstream-provider"))
    kind = next((one for one in kinds if one), None)
    kind = kind or (payload.get("state") if isinstance(payload, dict) else None) or channel.message
    return {"name": str(kind), "summary": f"Key: {record.key.decode()}", "headers": headers, "payload": payload}


def _add_component(schema: Mapping[str, Any], components: dict[str, Any], *, title: str) -> None:
    """Adds `schema` and its definitions under their titles, references made the document's own."""
    for name, definition in schema.get("$defs", {}).items():
        components[name] = _own(definition)
    whole: dict[str, Any] = _own(
        {key: value for key, value in schema.items() if key not in {"$schema", "$id", "$defs"}}
    )
    data = whole["properties"].get("data")
    if data:
        components[data["title"]] = data
        whole["properties"]["data"] = {"$ref": f"#/components/schemas/{data['title']}"}
    components[schema.get("title", title)] = whole


def _own(value: Any) -> Any:
    """`value` for this document; draft 7 ignores what stands beside a reference, so that is put around it."""
    if isinstance(value, list):
        return [_own(one) for one in value]
    if not isinstance(value, dict):
        return value
    rest = {key: _own(one) for key, one in value.items() if key != "$ref"}
    reference = value.get("$ref")
    if not isinstance(reference, str):
        return rest
    own = {"$ref": f"#/components/schemas/{reference.rpartition('/')[2]}"}
    return {"allOf": [own], **rest} if rest else own
