"""What `dropstream tail` says of a record: JSON lines, lines for a person, conditions."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest

from ops.inspect.tail import Condition, RecordView, TailLine, parse_condition
from ops.kafka.reader import AtOffset, base_name, full_name, parse_start
from schemas.configuration import Context, read_configuration
from schemas.records import Headers, Position, RawRecord

EVENT = (
    b'{"type":"dropstream.order.status_changed","subject":"SO-7","time":"2026-05-21T14:32:11.000000Z",'
    b'"provider":"shipstream","endpoint":"acme","providerevent":"order:shipped","data":{"status":"shipped",'
    b'"previous_status":"pending","shipments":[{"tracking_number":"1Z9"},{"tracking_number":null}],'
    b'"payload":{"big":12345678901234567890.10,\n\t"a":1}}}'
)


def record(value: bytes | None, headers: Headers = (), topic: str = "d.orders") -> RawRecord:
    return RawRecord(Position(topic, 2, 40), b"shipstream:acme:7", value, headers, 1_779_373_931_250)


def test_an_event_is_one_json_line_with_its_exact_value() -> None:
    """Position, time, key, headers and value, the numbers digit by digit, and no line break inside."""
    line = RecordView("orders", [], with_bodies=False).json_line(record(EVENT, (("type", b"t"),)))
    assert line == (
        b'{"topic":"d.orders","partition":2,"offset":40,"timestamp":"2026-05-21T14:32:11.250000Z",'
        b'"key":"shipstream:acme:7","headers":{"type":"t"},"value":' + EVENT.replace(b"\n", b" ") + b"}"
    )


def test_a_header_that_comes_twice_is_a_list() -> None:
    """Nothing of a record's headers is lost in JSON."""
    line = RecordView("orders", [], with_bodies=False).json_line(
        record(b"{}", (("x", b"1"), ("y", b"\xff"), ("x", b"2")))
    )
    assert orjson.loads(line)["headers"] == {"x": ["1", "2"], "y": "\\xff"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"not json", {"value_base64": "bm90IGpzb24="}),
        (b"", {"value_base64": ""}),
        (b"null", {"value": None}),
        (None, {"value": None}),
        (b"[1]", {"value": [1]}),
    ],
)
def test_a_value_that_is_no_json_is_base64(value: bytes | None, shown: dict[str, object]) -> None:
    """Any value can be shown, and text is never mistaken for JSON."""
    line = orjson.loads(RecordView("gaps", [], with_bodies=False).json_line(record(value)))
    assert {name: line[name] for name in line if name.startswith("value")} == shown


@pytest.mark.parametrize("topic", ["raw", "rejected"])
def test_bodies_are_shown_only_when_asked(topic: str) -> None:
    """Personal data in a body does not appear by default, neither to a person nor in JSON."""
    body = b'{"name":"somebody"}'
    assert b"somebody" not in RecordView(topic, [], with_bodies=False).json_line(record(body))
    assert orjson.loads(RecordView(topic, [], with_bodies=False).json_line(record(body)))["value_bytes"] == 19
    assert orjson.loads(RecordView(topic, [], with_bodies=True).json_line(record(body)))["value"] == {
        "name": "somebody"
    }
    assert "somebody" not in str(RecordView(topic, [], with_bodies=True).line(record(body), UTC))


def test_an_event_in_a_few_words() -> None:
    """A person sees when it happened in the own zone, what, of which entity, and the status."""
    assert RecordView("orders", [], with_bodies=False).line(record(EVENT), ZoneInfo("Europe/Madrid")) == TailLine(
        time="2026-05-21 16:32:11",
        position="2:40",
        what="order.status_changed",
        subject="SO-7",
        origin="shipstream/acme",
        summary="pending -> shipped, 1Z9",
    )


def test_a_rejection_in_a_few_words() -> None:
    """A person sees the reason, the sentence and the size."""
    headers = (
        ("dropstream-delivery", b"0198"),
        ("dropstream-provider", b"shipstream"),
        ("dropstream-endpoint", b"acme"),
        ("dropstream-reason", b"signature_invalid"),
        ("dropstream-detail", b"no signature is by a secret of this endpoint (1 known)"),
    )
    assert RecordView("rejected", [], with_bodies=False).line(record(b"{}", headers), UTC) == TailLine(
        time="2026-05-21 14:32:11",
        position="2:40",
        what="signature_invalid",
        subject="0198",
        origin="shipstream/acme",
        summary="2 bytes, no signature is by a secret of this endpoint (1 known)",
    )


@pytest.mark.parametrize(
    "value",
    [b"null", b"{}", b"[]", b'{"data":[]}', b'{"data":{"shipments":[{}],"available":{}}}', b"\xff", b"", None],
)
def test_anything_has_a_line(value: bytes | None) -> None:
    """What another program wrote to a topic never ends the reading."""
    view = RecordView("orders", [Condition("data.x", "1")], with_bodies=False)
    assert isinstance(view.line(record(value), UTC), TailLine)
    assert view.wants(record(value)) is False


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("subject=SO-7", True),
        ("subject=SO-70", False),
        ("data.status=shipped", True),
        ("data.shipments.tracking_number=1Z9", True),
        ("data.shipments.tracking_number=null", True),
        ("data.payload.a=1", True),
        ("data.absent=", False),
        ("provider-x=of the header", True),
    ],
)
def test_a_condition_holds_on_an_attribute_a_path_or_a_header(condition: str, wanted: bool) -> None:
    """FIELD=VALUE compares exact text, through lists too."""
    view = RecordView("orders", [parse_condition(condition)], with_bodies=False)
    assert view.wants(record(EVENT, (("provider-x", b"of the header"),))) is wanted


def test_conditions_all_hold_together() -> None:
    """Two conditions want both."""
    conditions = [Condition("subject", "SO-7"), Condition("data.status", "delivered")]
    assert RecordView("orders", conditions, with_bodies=False).wants(record(EVENT)) is False


def test_bodies_are_not_searched() -> None:
    """A condition on `raw` is about headers, never about what a person ordered."""
    view = RecordView("raw", [Condition("name", "somebody")], with_bodies=False)
    assert view.wants(record(b'{"name":"somebody"}')) is False
    assert view.wants(record(b"{}", (("name", b"somebody"),))) is True


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", "beginning"),
        ("latest", "latest"),
        ("3:120", AtOffset(3, 120)),
        ("2026-05-21T14:00:00Z", datetime(2026, 5, 21, 14, tzinfo=UTC)),
        ("2026-05-21T16:00:00+02:00", datetime(2026, 5, 21, 14, tzinfo=UTC)),
    ],
)
def test_a_place_to_begin_is_read(text: str, start: object) -> None:
    """Beginning, end, a time with its zone, or a partition's offset."""
    assert parse_start(text) == start


@pytest.mark.parametrize("text", ["", "now", "1:", ":1", "-1:0", "1:2:3", "9999999999:1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """Anything else is told with what is allowed."""
    with pytest.raises(ValueError, match="is none of: beginning, latest, P:OFFSET, a time such as"):
        parse_start(text)


def test_a_replay_s_own_topic_is_named_and_shown_like_its_original() -> None:
    """`orders.SUFFIX` gets the prefix, and bodies stay hidden in `rejected.SUFFIX`; another's topic keeps its name."""
    settings = read_configuration("[endpoints]", source="test", context=Context({}, ()))
    assert full_name("orders.fixed", settings) == "dropstream.orders.fixed"
    assert full_name("dropstream.orders.fixed", settings) == "dropstream.orders.fixed"
    assert full_name("billing.orders", settings) == "billing.orders"
    assert base_name("rejected.fixed") == "rejected"


def test_a_replayed_event_says_so_in_a_few_words() -> None:
    """Nobody takes what was replayed for news."""
    replayed = EVENT.replace(b'"data":', b'"replay":"replay-1","data":')
    assert RecordView("orders", [], with_bodies=False).line(record(replayed), UTC).summary == (
        "replayed: pending -> shipped, 1Z9"
    )
