"""Deliveries as bytes on disk, each with what must become of it.

A fixture is a folder `fixtures/<provider>/<case>` of four files: `body`, exact bytes; `headers`, lines `Name: value` as
on the wire; `case.toml`, the time of receipt and the endpoint; `expected.json`, the outcome. The provider's `sign.sh`
wrote the signatures with openssl alone, so nothing here can share a fault with the code under test.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from processors.deliver.provider import Provider
from processors.deliver.step import Rules
from processors.providers import discover
from schemas.delivery import Delivery, kept_headers, record_headers
from schemas.records import Headers, Position, RawRecord
from schemas.sections.endpoints import EndpointSettings
from schemas.times import timestamp_ms

ENDPOINT = "fixture"
RECORD_BYTES_MAX = 4_194_304
_FOLDER = Path(__file__).parent / "fixtures"


@dataclass(frozen=True, slots=True)
class Fixture:
    """One delivery and its outcome; `dataclasses.replace` makes a variant of it."""

    provider: str
    name: str
    body: bytes
    headers: Headers
    received_at: datetime
    endpoint: EndpointSettings
    expected: Mapping[str, Any]
    endpoint_name: str = ENDPOINT
    delivery_id: str = "0197a3f0-0000-7000-8000-000000000001"
    offset: int = 7
    traceparent: str = ""

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"

    def record(self) -> RawRecord:
        """The delivery as a record of `raw`."""
        delivery = Delivery(
            id=self.delivery_id,
            provider=self.provider,
            endpoint=self.endpoint_name,
            received_at=self.received_at,
            remote="192.0.2.1",
            headers=self.headers,
            body=self.body,
            traceparent=self.traceparent,
        )
        return RawRecord(
            position=Position("dropstream.raw", 3, self.offset),
            key=self.endpoint_name.encode(),
            value=self.body,
            headers=tuple(record_headers(delivery)),
            timestamp_ms=timestamp_ms(self.received_at),
        )

    def rules(self) -> Rules:
        """Rules that know this one endpoint and every provider."""
        return Rules({self.endpoint_name: self.endpoint}, providers(), RECORD_BYTES_MAX)


@cache
def providers() -> dict[str, Provider]:
    """Every provider by name, found once."""
    return discover()


def load_fixtures() -> list[Fixture]:
    """Every fixture on disk, in order of provider and name."""
    return [_load(case.parent) for case in sorted(_FOLDER.glob("*/*/case.toml"))]


def fixture_folders() -> set[str]:
    """The names of the provider folders, those without a case included."""
    return {folder.name for folder in _FOLDER.iterdir() if folder.is_dir()}


def _load(folder: Path) -> Fixture:
    case = tomllib.loads((folder / "case.toml").read_text("utf-8"))
    return Fixture(
        provider=folder.parent.name,
        name=folder.name,
        body=(folder / "body").read_bytes(),
        headers=_read_headers((folder / "headers").read_bytes()),
        received_at=case["received_at"],
        endpoint=_endpoint(folder.parent.name, case),
        expected=json.loads((folder / "expected.json").read_text("utf-8")),
    )


def _read_headers(lines: bytes) -> Headers:
    fields = (line.partition(b":") for line in lines.split(b"\n") if line)
    return kept_headers((name, value.strip(b" \t")) for name, _, value in fields)


def _endpoint(provider: str, case: Mapping[str, Any]) -> EndpointSettings:
    secrets = case.get("secrets", [])
    references = [{**secret, "value": f"env:SECRET_{number}"} for number, secret in enumerate(secrets)]
    environ = {f"SECRET_{number}": secret["value"] for number, secret in enumerate(secrets)}
    return EndpointSettings.model_validate(
        {**case.get("endpoint", {}), "provider": provider, "secrets": references}, context={"environ": environ}
    )
