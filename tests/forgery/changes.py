"""Changes of one record: of its JSON, of its bytes, of its headers."""

from collections.abc import Callable
from typing import Any

import orjson

from tests.forgery.history import Case, Written


def told(change: Callable[[dict[str, Any]], None]) -> Callable[[Written], None]:
    """A change of the JSON of a record."""

    def write(record: Written) -> None:
        event = orjson.loads(record.value or b"")
        change(event)
        record.value = orjson.dumps(event)

    return write


def attribute(name: str, value: object) -> Callable[[Written], None]:
    """Another value of one attribute."""

    def change(event: dict[str, Any]) -> None:
        assert event[name] != value
        event[name] = value

    return told(change)


def stock_figure(event: dict[str, Any]) -> None:
    event["data"]["available"] = "1000000"


def payload(event: dict[str, Any]) -> None:
    event["data"]["payload"]["forged"] = True


def surplus(event: dict[str, Any]) -> None:
    event["forged"] = "yes"


def key_order(record: Written) -> None:
    """The same JSON, its last two attributes the other way round."""
    items = list(orjson.loads(record.value or b"").items())
    record.value = orjson.dumps(dict([*items[:-2], items[-1], items[-2]]))


def json_bytes(record: Written) -> None:
    """The same JSON, one space more."""
    record.value = (record.value or b"")[:-1] + b" }"


def header(name: str, value: bytes) -> Callable[[Written], None]:
    """Another value of one header."""

    def write(record: Written) -> None:
        assert name in dict(record.headers)
        record.headers = [(one, value if one == name else old) for one, old in record.headers]

    return write


def header_more(record: Written) -> None:
    record.headers = [*record.headers, ("forged", b"yes")]


def header_less(record: Written) -> None:
    record.headers = [one for one in record.headers if one[0] != "provider"]


def headers_turned(record: Written) -> None:
    record.headers = [*record.headers[1::-1], *record.headers[2:]]


def body(record: Written) -> None:
    record.value = (record.value or b"").replace(b"sample", b"forged", 1)


def no_body(record: Written) -> None:
    record.value = None


def rewrite_origin(record: Written, case: Case, offset: int | None = None) -> None:
    """The record says that it is of this delivery."""
    event = orjson.loads(record.value or b"")
    headers = {name: (value or b"").decode() for name, value in case.raw.headers}
    event["rawpartition"] = case.place[0]
    event["rawoffset"] = str(case.place[1] if offset is None else offset)
    event["delivery"] = headers["dropstream-delivery"]
    event["recordedtime"] = headers["dropstream-received-at"]
    record.value = orjson.dumps(event)
