"""The page of the topics stands alone, and has an anchor for every topic and field."""

from collections.abc import Iterator, Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Any

from ops.docs.asyncapi import asyncapi
from ops.docs.channels import CHANNELS
from ops.docs.examples import examples
from ops.docs.json_schema import schemas
from ops.docs.topics_page import topics_page
from schemas.records import Record

PAGE = topics_page(examples())
# Of HTML's elements, those without an end.
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """What a browser would find: identities, links, elements, and whether every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_asks_for_nothing_else() -> None:
    """No script, no image, no style or font from elsewhere, no link out of the page."""
    outline = Outline(PAGE)
    assert not outline.elements & {"script", "link", "img", "iframe", "object", "embed", "form"}
    assert not outline.attributes & {"src", "srcset", "onclick", "onload", "style"}
    assert all(link.startswith("#") for link in outline.links)
    assert "url(" not in PAGE
    assert "@import" not in PAGE


def test_it_is_well_formed_and_every_link_leads_somewhere() -> None:
    """Every element is closed where it should be, no anchor is there twice, no link points at nothing."""
    outline = Outline(PAGE)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)


def test_every_topic_and_field_has_an_anchor() -> None:
    """Whoever asks about a field can be sent a link to it."""
    ids = set(Outline(PAGE).ids)
    for channel in CHANNELS:
        assert channel.topic in ids
        shape = schemas().get(f"{channel.schema}.v1.json", {"properties": {}})
        data = shape["properties"].get("data")
        names = {f"data.{name}" for name in data["properties"]} if data else set(shape["properties"])
        assert {f"{channel.topic}.{name}" for name in names} <= ids
    assert {"orders.data.items[].quantity", "orders.data.shipments[].items[].sku", "event.timequality"} <= ids
    assert "orders.record.dropstream.order.shipped-shipstream-exact" in ids


def fields_of(schema: Mapping[str, Any], components: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every field of an AsyncAPI payload with its description, those of lists' elements included."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}{name}", field.get("description", "")
        parts = [field, *field.get("allOf", ()), *field.get("anyOf", ())]
        for one in (*parts, *(part["items"] for part in parts if "items" in part)):
            is_element = one not in parts
            inner = components[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            yield from fields_of(inner, components, f"{path}{name}{'[]' if is_element else ''}.")


def test_it_tells_all_that_the_asyncapi_document_tells() -> None:
    """A person reads there every channel with its figures, each message and header, and each field with its meaning."""
    document = asyncapi(examples())
    ids, text = set(Outline(PAGE).ids), unescape(PAGE).replace("<code>", "`").replace("</code>", "`")
    components = document["components"]["schemas"]
    paths = {path for path, _ in fields_of(components["OrderEvent"], components)}
    assert {"timequality", "data.status", "data.items[].sku", "data.shipments[].items[].quantity"} <= paths
    for name, channel in document["channels"].items():
        section = text.partition(f'<h2 id="{name}">')[2].partition("<h2 ")[0]
        kafka = channel["bindings"]["kafka"]
        kept_days = kafka["topicConfiguration"]["retention.ms"] // 86_400_000
        figures = f"{kafka['partitions']}, each on {kafka['replicas']} brokers"
        largest = f"{kafka['topicConfiguration']['max.message.bytes']:,} bytes"
        for told in (f"`{channel['address']}`", channel["description"], f"{kept_days} days", figures, largest):
            assert told in section, (name, told)
        (message,) = channel["messages"]
        assert message in ids
        told = document["components"]["messages"][message]
        assert told["contentType"] in section
        is_event = told["contentType"] == "application/cloudevents+json"
        assert {f"{'event' if is_event else name}.header.{one}" for one in told["headers"]["properties"]} <= ids
        payload = components.get(told["payload"].get("$ref", "").rpartition("/")[2], {})
        for path, meaning in fields_of(payload, components):
            place = name if path.startswith("data.") or not is_event else "event"
            assert f"{place}.{path}" in ids or path == "data", (name, path)
            assert meaning in text, (name, path)


def test_what_a_stranger_wrote_is_text() -> None:
    """Markup in a key, a header or a payload is shown and never obeyed."""
    hostile = '</pre><script>alert("1")</script>'
    record = Record(
        "other", hostile.encode(), b'{"type": "x</code><b>", "data": {"payload": "<script>"}}', ((hostile, b"<i>"),)
    )
    page = topics_page({"other": [record], "raw": [Record("raw", b"<", hostile.encode(), (("x", b"&"),))]})
    outline = Outline(page)
    assert outline.open == []
    assert "script" not in outline.elements
    assert "&lt;script&gt;" in page
