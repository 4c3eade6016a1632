"""The page of the topics stands alone, and has an anchor for every topic and field."""

from html.parser import HTMLParser

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
