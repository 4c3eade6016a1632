"""The package for consumers reads what is written and what version 1 may become, by the standard library alone."""

import ast
import json
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from dropstream_events.events import (
    CatalogData,
    Event,
    IncidentData,
    InventoryData,
    Item,
    OrderData,
    OtherData,
    Shipment,
    read_event,
)
from dropstream_events.gaps import Gap, Missing, read_gap
from dropstream_events.memory import LastTimes, RecentIds

from ops.docs.examples import examples
from ops.docs.json_schema import event_schema, schemas
from schemas.vocabulary import Domain
from tests.support.checkout import ROOT

PACKAGE = ROOT / "examples" / "python" / "dropstream_events"
FOUND = examples()
DATA_OF = {
    Domain.ORDER: OrderData,
    Domain.INVENTORY: InventoryData,
    Domain.CATALOG: CatalogData,
    Domain.INCIDENT: IncidentData,
    Domain.OTHER: OtherData,
}
ORDER_TYPE = "dropstream.order.shipment_packed"


def names(shape: type) -> set[str]:
    return {field.name for field in fields(shape)}


def value_of(topic: str, event_type: str) -> dict[str, Any]:
    found = (json.loads(record.value) for record in FOUND[topic])
    return next(value for value in found if value["type"] == event_type)


def read(value: object) -> Event:
    return read_event(json.dumps(value).encode())


def test_it_imports_nothing_but_the_standard_library() -> None:
    """Another service installs it without a Kafka client, and without us."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            allowed = sys.stdlib_module_names | {"dropstream_events"}
            assert {name.partition(".")[0] for name in found} <= allowed, path


def test_it_works_where_nothing_is_installed() -> None:
    """A Python without site-packages imports every module."""
    program = "import dropstream_events.events, dropstream_events.gaps, dropstream_events.memory"
    subprocess.run([sys.executable, "-S", "-c", program], cwd=PACKAGE.parent, env={}, check=True)


@pytest.mark.parametrize("domain", Domain)
def test_it_reads_every_example(domain: Domain) -> None:
    """Every kind of event, with the data of its domain; nothing is lost on the way but CloudEvents' constants."""
    for record in FOUND[domain.topic]:
        event = read_event(record.value)
        assert type(event.data) is DATA_OF[domain]
        value = json.loads(record.value)
        assert (event.id, event.subject, event.data.payload) == (
            value["id"],
            value["subject"],
            value["data"]["payload"],
        )
        assert event.time.utcoffset() == timedelta(0)


def test_it_has_every_field_of_the_schemas() -> None:
    """A field that is new in the schemas is missed here."""
    for domain, shape in DATA_OF.items():
        schema = event_schema(domain)
        assert names(shape) == set(schema["properties"]["data"]["properties"])
        assert names(Event) == set(schema["properties"]) - {"specversion", "datacontenttype"}
    definitions = event_schema(Domain.ORDER)["$defs"]
    assert names(Item) == set(definitions["Item"]["properties"])
    assert names(Shipment) == set(definitions["Shipment"]["properties"])
    assert names(Gap) == set(schemas()["gap.v1.json"]["properties"])


def test_an_order_is_typed() -> None:
    """Times are aware, quantities exact, offsets and sequence ids numbers, lists tuples."""
    event = read(value_of("orders", ORDER_TYPE))
    assert isinstance(event.data, OrderData)
    assert event.time == datetime(2021, 12, 7, 16, 8, 15, tzinfo=UTC)
    assert (event.timequality, event.uncertainty) == ("exact", timedelta(0))
    assert (event.sequence, event.bodydiffers, event.replay) == (107, False, None)
    assert isinstance(event.rawoffset, int)
    assert event.data.order_id == "100000540"
    assert event.data.shipments[0].items[0].quantity == Decimal("1.0000")
    assert event.data.shipments[0].tracking_number == "TT234"


def test_what_version_1_may_become_is_read() -> None:
    """New attributes, fields and words change nothing for a program that does not know them."""
    value = value_of("orders", ORDER_TYPE)
    value["newattribute"] = "x"
    value["type"] = "dropstream.order.teleported"
    value["data"] |= {"new_field": {"deep": 1}, "status": "teleported"}
    value["data"]["shipments"][0]["weight"] = "1.5"
    event = read(value)
    assert isinstance(event.data, OrderData)
    assert (event.type, event.data.status) == ("dropstream.order.teleported", "teleported")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'"text"',
        b"[" * 100_000,
        b'{"dataschema": []}',
        b'{"dataschema": "urn:dropstream:schema:order-data:v1", "specversion": "1.0", "data": null}',
        b'{"dataschema": "urn:dropstream:schema:order-data:v1", "specversion": "1.0", "data": {"items": 7}}',
    ],
)
def test_what_is_no_event_is_one_kind_of_error(value: bytes) -> None:
    """Whatever another producer writes, a consumer catches ValueError and goes on."""
    with pytest.raises(ValueError, match=r"is no event|Expecting|codec|recursion"):
        read_event(value)
    with pytest.raises(ValueError, match=r"is no gap|Expecting|codec|recursion"):
        read_gap(value)


@pytest.mark.parametrize("field", ["id", "time", "rawoffset", "data", "dataschema"])
def test_a_field_that_is_not_what_it_should_be_is_an_error(field: str) -> None:
    """Nothing is guessed: absent or of another kind, the event is refused."""
    value = value_of("inventory", "dropstream.inventory.adjusted")
    absent = {name: one for name, one in value.items() if name != field}
    for wrong in (absent, {**value, field: None}, {**value, field: ["x"]}):
        if field == "id" and wrong is not absent:
            continue
        with pytest.raises(ValueError, match=r"is no event"):
            read(wrong)


def test_version_2_is_not_read_as_version_1() -> None:
    """A meaning may have changed: a program must not act on it."""
    value = value_of("orders", ORDER_TYPE)
    value["dataschema"] = "urn:dropstream:schema:order-data:v2"
    with pytest.raises(ValueError, match="is no event of version 1, but urn:dropstream:schema:order-data:v2"):
        read(value)


def test_ids_are_remembered_up_to_a_bound() -> None:
    """A repeat is known until as many others came as the bound says."""
    ids = RecentIds(ids_max=3)
    assert [ids.take(one, None) for one in "abcab"] == ["new", "new", "new", "repeat", "repeat"]
    assert ids.take("d", None) == "new"
    assert [ids.take(one, None) for one in "bcd"] == ["repeat", "repeat", "repeat"]
    assert ids.take("a", None) == "new"


def event_at(hour: int, quality: str = "exact") -> Event:
    value = value_of("orders", ORDER_TYPE)
    return read({**value, "time": f"2026-10-25T{hour:02}:30:00.000000Z", "timequality": quality})


def test_an_event_is_late_only_for_certain() -> None:
    """An hour that came twice is an hour uncertain; a time of receipt says nothing, and is compared with nothing."""
    times = LastTimes()
    assert not times.is_late("one", event_at(12))
    assert times.is_late("one", event_at(11))
    assert times.is_late("one", event_at(10))
    assert not times.is_late("one", event_at(11, "ambiguous"))
    assert not times.is_late("two", event_at(1))
    assert not times.is_late("one", event_at(1, "received"))
    assert not times.is_late("one", event_at(1, "a word of later"))


def test_an_uncertain_time_does_not_make_the_next_one_late() -> None:
    """What is known of the newest is known by an hour at best."""
    times = LastTimes()
    assert not times.is_late("one", event_at(12, "shifted"))
    assert not times.is_late("one", event_at(11))
    assert times.is_late("one", event_at(9))


def test_an_uncertain_time_does_not_take_back_a_certain_one() -> None:
    """What an exact time has made late stays late, though an uncertain one came in between that may be newer."""
    times = LastTimes()
    assert not times.is_late("one", event_at(12))
    assert not times.is_late("one", event_at(11, "ambiguous"))
    assert times.is_late("one", event_at(11))
    assert not times.is_late("one", event_at(13, "ambiguous"))
    assert times.is_late("one", event_at(11))


def test_times_are_remembered_up_to_a_bound() -> None:
    """The entity that was longest silent goes first."""
    times = LastTimes(entities_max=2)
    for entity in ("one", "two", "one", "three"):
        times.is_late(entity, event_at(12))
    assert times.is_late("one", event_at(11))
    assert not times.is_late("two", event_at(11))


def test_the_examples_of_gaps_are_read() -> None:
    """Open, filled in part, lost in part and so still missing, reset."""
    found = {gap.state: gap for gap in (read_gap(record.value) for record in FOUND["gaps"])}
    missing = Missing()
    missing.take(found["open"])
    assert missing.runs("shipstream-acme") == ((5041, 5043),)
    missing.take(found["filled"])
    assert missing.runs("shipstream-acme") == ((5041, 5041), (5043, 5043))
    assert missing.count("shipstream-acme") == 2
    missing.take(found["lost"])
    assert missing.runs("shipstream-acme") == ((5041, 5041), (5043, 5043))
    missing.take(found["dismissed"])
    assert missing.runs("shipstream-acme") == ((5043, 5043),)
    missing.take(found["reset"])
    assert missing.runs("shipstream-acme") == ()
