"""The page for people: every topic, header and field with meaning, form and example, and a real record of each kind.

One file without scripts and without requests. Made from the tables and schemas that the code writes with; it decides
how they look, and nothing of what they say.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import orjson

from ops.docs.channels import CHANNELS, CLOUD_EVENT, Channel, HeaderField
from ops.docs.compatibility import MAY_GROW, known_words
from ops.docs.json_schema import schemas
from schemas.records import Record
from schemas.settings import Settings
from schemas.topics import TopicPlan, plan

_STYLE = Path(__file__).with_name("topics_page.css")
_DAY_MS = 86_400_000
_FORM_OF_TYPE = {
    "string": "string",
    "integer": "whole number",
    "boolean": "true or false",
    "array": "list",
    "object": "object",
    "null": "null",
}
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(?<![\w.])(-?\d[\d.eE+-]*|true|false|null)\b')
_INTRODUCTION = """<h1>dropstream topics</h1>
<p>What dropstream writes to Kafka, for those who read it: all that the AsyncAPI 3.0 document
<code>asyncapi.v1.json</code> tells programs. Every example below is a real record, made by the code that writes the
topics.</p>
<h3>How to read</h3>
<ul>
<li>Read with <code>isolation.level=read_committed</code>: what was aborted is then never shown.</li>
<li>All records of one key are in one partition (murmur2, as Kafka's Java client has it), in order.</li>
<li>The same <code>id</code> is the same event, on replay and on another machine: drop one that you have had.</li>
<li>Ignore fields and event types that you do not know. Within version 1 fields are added, never removed or retyped;
a set of words is closed unless it says that more may come.</li>
<li>Names of topics begin with <code>kafka.topic_prefix</code>; names and figures here are the defaults.</li>
</ul>"""


def topics_page(examples: Mapping[str, Sequence[Record]]) -> str:
    """The page as HTML; `examples` are records by the short name of their topic."""
    plans = {one.name: one for one in plan(Settings(endpoints={}))}
    prefix = Settings(endpoints={}).kafka.topic_prefix
    shapes = schemas()
    sections = [_section(one, plans[prefix + one.topic], shapes, examples.get(one.topic, ())) for one in CHANNELS]
    names = ["event", *(one.topic for one in CHANNELS)]
    links = "".join(f'<li><a href="#{name}">{"every event" if name == "event" else name}</a></li>' for name in names)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dropstream topics</title>
<style>
{_STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<nav><b>dropstream topics</b><ul>{links}</ul></nav>
<main>
{_INTRODUCTION}
{_every_event(shapes["order-event.v1.json"])}
{"".join(sections)}
</main>
</body>
</html>
"""


def _every_event(shape: Mapping[str, Any]) -> str:
    attributes = {name: field for name, field in shape["properties"].items() if name != "data"}
    # Each topic has its own; here it is an example.
    attributes["dataschema"] = {**attributes["dataschema"], "examples": [attributes["dataschema"]["const"]]}
    del attributes["dataschema"]["const"]
    schema = {**shape, "properties": attributes}
    headers = next(one for one in CHANNELS if one.content_type == CLOUD_EVENT)
    return f"""{_heading("event", "every event")}
<p>The values of orders, inventory, catalog, incidents and other are CloudEvents 1.0 in structured JSON. These are their
attributes; what is in <code>data</code> stands with each topic.</p>
{_fields(schema, "event")}
<h3>Headers of every event</h3>
{_headers("event", headers.headers)}
"""


def _section(
    channel: Channel, topic: TopicPlan, shapes: Mapping[str, Mapping[str, Any]], records: Sequence[Record]
) -> str:
    shape = shapes.get(f"{channel.schema}.v1.json")
    facts = {
        "topic": f"<code>{escape(topic.name)}</code>",
        "key": f"<code>{escape(channel.key_example)}</code>",
        "kept": f"{int(topic.config['retention.ms']) // _DAY_MS} days",
        "partitions": f"{topic.partitions}, each on {topic.replication_factor} brokers",
        "largest record": f"{int(topic.config['max.message.bytes']):,} bytes",
        "message": f'<a id="{channel.message}" href="#{channel.message}"><code>{channel.message}</code></a>',
        "value": escape(channel.content_type),
        "schema": f"<code>{channel.schema}.v1.json</code>" if shape else "none: the bytes as they were received",
    }
    listed = "".join(f"<dt>{name}</dt><dd>{fact}</dd>" for name, fact in facts.items())
    parts = [
        _heading(channel.topic, channel.topic),
        f"<p>{_prose(channel.meaning)}</p>",
        f'<dl class="facts">{listed}</dl>',
    ]
    if channel.headers and channel.content_type != CLOUD_EVENT:
        parts += ["<h3>Headers</h3>", _headers(channel.topic, channel.headers)]
    if shape:
        data = shape["properties"].get("data")
        parts.append("<h3>Fields of <code>data</code></h3>" if data else "<h3>Fields</h3>")
        inner = {**data, "$defs": shape["$defs"]} if data else shape
        parts.append(_fields(inner, f"{channel.topic}.data" if data else channel.topic))
    parts += ["<h3>Real records</h3>", *(_record(channel, record) for record in records)]
    return "\n".join(parts) + "\n"


def _heading(anchor: str, text: str) -> str:
    return f'<h2 id="{anchor}"><a href="#{anchor}">{escape(text)}</a></h2>'


def _headers(anchor: str, fields: Sequence[HeaderField]) -> str:
    rows = (
        _row(
            f"{anchor}.header.{one.name}",
            one.name,
            form="string" if one.always else "string, may be absent",
            meaning=_prose(one.meaning),
            example=one.example,
        )
        for one in fields
    )
    return f'<div class="fields">{"".join(rows)}</div>'


def _fields(schema: Mapping[str, Any], anchor: str) -> str:
    return f'<div class="fields">{"".join(_rows(schema, schema.get("$defs", {}), anchor, ""))}</div>'


def _rows(schema: Mapping[str, Any], definitions: Mapping[str, Any], anchor: str, prefix: str) -> Iterator[str]:
    """A row for every field, those of lists' elements included."""
    for name, field in schema["properties"].items():
        path = prefix + name
        whole = _whole(field, definitions)
        absent = "" if name in schema["required"] else ", may be absent"
        meaning = _prose(field.get("description", "")) + _words(whole)
        examples = field.get("examples") or [whole.get("const")]
        example = "" if examples[0] in (None, []) else _plain(examples[0])
        yield _row(f"{anchor}.{path}", path, form=_form(whole) + absent, meaning=meaning, example=example)
        element = _whole(whole.get("items", {}), definitions)
        if "properties" in element:
            yield from _rows(element, definitions, anchor, f"{path}[].")


def _whole(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """`field` with what it refers to, its alternatives but null joined; `nullable` says whether null is one."""
    ones = [
        dict(known_words(definitions[one["$ref"].rpartition("/")[2]])) if "$ref" in one else dict(one)
        for one in field.get("anyOf", [field])
    ]
    joined = {key: value for one in ones if one.get("type") != "null" for key, value in one.items()}
    return {**joined, "nullable": any(one.get("type") == "null" for one in ones)}


def _form(whole: Mapping[str, Any]) -> str:
    if "enum" in whole:
        form = "one word of"
    elif "const" in whole:
        form = "always the same text"
    elif r"(\.\d+)" in whole.get("pattern", ""):
        form = "decimal number as text"
    elif r"T\d\d" in whole.get("pattern", ""):
        form = "time, RFC 3339, UTC"
    else:
        form = _FORM_OF_TYPE.get(whole.get("type", ""), "any JSON")
    return form + (", or null" if whole["nullable"] else "")


def _words(whole: Mapping[str, Any]) -> str:
    if "enum" not in whole:
        return ""
    more = " more may come" if whole.get(MAY_GROW) else ""
    return f'<div class="words">{" ".join(f"<code>{escape(word)}</code>" for word in whole["enum"])}{more}</div>'


def _row(anchor: str, name: str, *, form: str, meaning: str, example: str) -> str:
    shown = f'<div class="example">Example: <code>{escape(example)}</code></div>' if example else ""
    identity = escape(anchor, quote=True)
    link = f'<a href="#{identity}"><code>{escape(name)}</code></a>'
    return (
        f'<div class="field" id="{identity}">'
        f'<div><div class="name">{link}</div><div class="form">{escape(form)}</div></div>'
        f'<div><div class="meaning">{meaning}</div>{shown}</div></div>\n'
    )


def _record(channel: Channel, record: Record) -> str:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    shown: dict[str, object] = {"key": record.key.decode(), "headers": headers}
    if channel.schema:
        value = orjson.loads(record.value)
        shown["value"] = value
    else:
        value = headers
        shown["value"] = record.value.decode("utf-8", "replace")
    kinds = ("type", "state", "act", "dropstream-reason", "dropstream-provider")
    kind = next((value[name] for name in kinds if value.get(name)), channel.topic)
    notes = [
        *(value.get(name, "") for name in ("provider", "timequality", "stage")),
        "bodydiffers" if value.get("bodydiffers") else "",
    ]
    note = ", ".join(one for one in notes if one)
    identity = re.sub(r"[^\w.-]+", "-", f"{channel.topic}.record.{kind} {note}".strip())
    return (
        f"<details><summary><code>{escape(kind)}</code> "
        f'<span class="quiet">{escape(note)}</span></summary>'
        f'<pre id="{escape(identity, quote=True)}">{_coloured(shown)}</pre></details>'
    )


def _prose(text: str) -> str:
    """`text` as HTML, what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _coloured(value: object) -> str:
    text = escape(json.dumps(value, indent=2, ensure_ascii=False), quote=False)
    return _TOKEN.sub(_colour, text)


def _colour(found: re.Match[str]) -> str:
    if found[1] is None:
        return f'<i class="n">{found[3]}</i>'
    return f'<i class="{"k" if found[2] else "s"}">{found[1]}</i>{found[2] or ""}'
