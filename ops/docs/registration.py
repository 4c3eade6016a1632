"""Puts the schemas of the topics into a schema registry: which subject, in which form, under which compatibility level.

One subject for each topic, `TOPIC-value` (Confluent's TopicNameStrategy): every topic has one shape, and tools find a
subject by the name of the topic. The values of the records are plain JSON without a registry's prefix of five bytes, as
CloudEvents have it, so nobody needs the registry to read them.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ops.docs.channels import CHANNELS
from ops.docs.json_schema import schemas
from ops.docs.registry import IncompatibleSchemaError, RegisteredSchema, SchemaRegistry

# What version 1 promises is that a reader made for an older schema reads newer records: fields are added, and words
# where they may grow. A registry calls that forward; its usual `BACKWARD` refuses every new field of an open object.
PROMISED_LEVEL = "FORWARD_TRANSITIVE"
LEVELS = ("NONE", *(f"{one}{rest}" for one in ("BACKWARD", "FORWARD", "FULL") for rest in ("", "_TRANSITIVE")))
_DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@dataclass(frozen=True, slots=True)
class SubjectPlan:
    """What is to be registered: `schema` is JSON text."""

    subject: str
    topic: str
    schema: str


@dataclass(frozen=True, slots=True)
class SubjectResult:
    """What became of a subject, or would.

    `outcome` is `unchanged`, `registered`, `would register` or `refused`; `level` the compatibility level that counts
    for it then; `detail` what a person should know beside that, or "".
    """

    subject: str
    outcome: str
    version: int | None
    schema_id: int | None
    level: str
    detail: str = ""


def planned_subjects(topic_prefix: str) -> list[SubjectPlan]:
    """Every topic whose values have a schema; the same code gives the same text on any machine."""
    found = schemas()
    return [
        SubjectPlan(
            subject=f"{topic_prefix}{one.topic}-value",
            topic=topic_prefix + one.topic,
            schema=orjson.dumps(as_draft_7(found[f"{one.schema}.v1.json"])).decode(),
        )
        for one in CHANNELS
        if one.schema is not None
    ]


def as_draft_7(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema in JSON Schema draft 7, without examples: a registry compares shapes.

    Apicurio 2.6 fails at a schema of draft 2020-12 when it compares (`could not determine version`). Draft 7 ignores
    what stands beside a reference, so the reference is put into an `allOf`; its definitions are called `definitions`.
    """
    return {**_draft_7(schema), "$schema": _DRAFT_7}


async def register_all(
    registry: SchemaRegistry, plans: list[SubjectPlan], *, level: str | None, is_dry_run: bool
) -> AsyncIterator[SubjectResult]:
    """Registers each, and gives what became of it; what is registered already stays as it is.

    `level` is set on every subject. Without it, one that has no level of its own is given `PROMISED_LEVEL`.

    Raises:
        RegistryError: the registry cannot be asked; what came before it is done, and a second call leaves it alone.
    """
    for plan in plans:
        own_level = await registry.level(plan.subject)
        wanted_level = level or own_level or PROMISED_LEVEL
        known = await registry.find(plan.subject, plan.schema)
        if is_dry_run:
            yield await _foreseen(registry, plan, known, own_level, wanted_level)
            continue
        if own_level != wanted_level:
            await registry.set_level(plan.subject, wanted_level)
        detail = "" if own_level == wanted_level else _level_change(own_level, wanted_level)
        if known is not None:
            yield SubjectResult(plan.subject, "unchanged", known.version, known.schema_id, wanted_level, detail)
            continue
        try:
            await registry.register(plan.subject, plan.schema)
        except IncompatibleSchemaError as error:
            yield SubjectResult(plan.subject, "refused", None, None, wanted_level, str(error))
            continue
        made = await registry.find(plan.subject, plan.schema)
        version, schema_id = (made.version, made.schema_id) if made else (None, None)
        yield SubjectResult(plan.subject, "registered", version, schema_id, wanted_level, detail)


async def _foreseen(
    registry: SchemaRegistry,
    plan: SubjectPlan,
    known: RegisteredSchema | None,
    own_level: str | None,
    wanted_level: str,
) -> SubjectResult:
    """What would become of the subject; nothing is changed."""
    detail = "" if own_level == wanted_level else f"would get level {wanted_level}"
    if known is not None:
        return SubjectResult(plan.subject, "unchanged", known.version, known.schema_id, wanted_level, detail)
    versions = await registry.versions(plan.subject)
    if versions and own_level != wanted_level:
        detail += "; whether it is compatible by that level can be asked once it is set"
    elif versions and (why := await registry.objections(plan.subject, plan.schema)) is not None:
        return SubjectResult(plan.subject, "refused", None, None, wanted_level, why)
    return SubjectResult(plan.subject, "would register", max(versions, default=0) + 1, None, wanted_level, detail)


def _level_change(before: str | None, now: str) -> str:
    return f"level set to {now}" if before is None else f"level set from {before} to {now}"


def _draft_7(value: Any, *, is_names: bool = False) -> Any:
    """`value` in draft 7; where `is_names`, its keys are names that somebody chose and no keywords."""
    if isinstance(value, list):
        return [_draft_7(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if is_names:
        return {name: _draft_7(one) for name, one in value.items()}
    rest = {
        "definitions" if key == "$defs" else key: _draft_7(one, is_names=key in {"properties", "$defs"})
        for key, one in value.items()
        if key not in {"$ref", "examples"}
    }
    reference = value.get("$ref")
    if not isinstance(reference, str):
        return rest
    moved = {"$ref": reference.replace("#/$defs/", "#/definitions/")}
    return {"allOf": [moved], **rest} if rest else moved
