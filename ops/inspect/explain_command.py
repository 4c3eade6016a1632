"""`dropstream explain`: says what one delivery becomes and why, step by step."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer
from uuid_utils import uuid7

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.inspect.explain import ExplainedStep, explain
from ops.kafka.reader import AtOffset, full_name, open_reader
from ops.suggest import check_name
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.delivery import Delivery, kept_headers, record_headers
from schemas.errors import DropstreamError, UsageError
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from schemas.times import EPOCH, timestamp_ms

_POSITION = re.compile(r"(\d{1,9}):(\d{1,18})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
# A delivery's id has the time of its receipt by the ingress's clock; its record is not far from there.
_NEAR = timedelta(hours=1)
_TIME_BITS = 80


def explain_delivery(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="A file with the exact body, - for stdin, P:OFFSET of raw, a delivery's id."
        ),
    ],
    *,
    endpoint: Annotated[str | None, typer.Option(metavar="E", help="Of a file: the endpoint it was sent to.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="Of a file: a header of the request; repeatable.")
    ] = None,
    as_json: screen.AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Says what a delivery becomes and why: signature, JSON, topic, key, time, facts, records.

    It writes nothing. Example: dropstream explain body.json --endpoint shipstream-acme
    """
    settings = load_settings(config)
    check_name("endpoint", endpoint, settings.endpoints)
    if match := _POSITION.fullmatch(what):
        raw = run(_at(settings, int(match[1]), int(match[2])))
    elif _UUID.fullmatch(what):
        raw = run(_with_id(settings, what))
    else:
        raw = _from_body(settings, _read(what), endpoint, header or [])
    steps = explain(raw, deliver_rules(settings.endpoints, settings, discover()))
    if as_json:
        for step in steps:
            screen.write_json(orjson.dumps(_as_json(step)).decode())
    else:
        screen.show_table(("step", "found"), map(_row, steps))
    if any(step.stops for step in steps):
        raise typer.Exit(1)


def _row(step: ExplainedStep) -> tuple[str, str]:
    return step.name, screen.printable(f"{step.found}{'; it is rejected here' if step.stops else ''}")


def _as_json(step: ExplainedStep) -> dict[str, Any]:
    return {"step": step.name, "found": step.found, "rejected": step.stops, **step.more}


def _read(what: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if what == "-" else Path(what).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{what!r} cannot be read ({error.strerror}), and is no P:OFFSET and no id of a delivery"
        ) from error


def _from_body(settings: Settings, body: bytes, endpoint: str | None, headers: list[str]) -> RawRecord:
    name = endpoint or (next(iter(settings.endpoints)) if len(settings.endpoints) == 1 else None)
    if name is None:
        raise UsageError(f"name the endpoint, as --endpoint {next(iter(settings.endpoints))}; several are configured")
    fields = [line.partition(":") for line in headers]
    if broken := [line for line, colon, _ in fields if not colon]:
        raise UsageError(f"--header {broken[0]!r} is not of the form 'NAME: VALUE'")
    delivery = Delivery(
        id=str(uuid7()),
        provider=settings.endpoints[name].provider,
        endpoint=name,
        received_at=datetime.now(UTC),
        remote="",
        headers=kept_headers((key.strip().encode(), value.strip().encode()) for key, _, value in fields),
        body=body,
    )
    return RawRecord(
        position=Position(full_name("raw", settings), 0, 0),
        key=name.encode(),
        value=body,
        headers=tuple(record_headers(delivery)),
        timestamp_ms=timestamp_ms(delivery.received_at),
    )


async def _at(settings: Settings, partition: int, offset: int) -> RawRecord:
    # Ends with what is there now: an offset behind it is not waited for.
    async with open_reader(settings, [full_name("raw", settings)], AtOffset(partition, offset), settled=True) as reader:
        records: list[RawRecord] = []
        while not records and not await reader.is_at_end():
            records = await reader.fetch()
    if records and records[0].position.offset == offset:
        return records[0]
    raise DropstreamError(f"raw has nothing at {partition}:{offset}; dropstream tail raw shows positions that it has")


async def _with_id(settings: Settings, id_: str) -> RawRecord:
    moment = EPOCH + timedelta(milliseconds=UUID(id_).int >> _TIME_BITS)
    async with open_reader(settings, [full_name("raw", settings)], moment - _NEAR, settled=True) as reader:
        while not await reader.is_at_end():
            for record in await reader.fetch():
                if ("dropstream-delivery", id_.encode()) in record.headers:
                    return record
    raise DropstreamError(f"raw has no delivery {id_}; it may be older than the topic's retention")
