"""The configuration as typed values: every key, its default and its bounds.

How a file and the environment become these values, and how faults are told, stands in `schemas.configuration`. Each
table is a class in `schemas.sections`. The sentence under a key says what the key means; `make settings` makes
`docs/settings.md` from keys and sentences.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator

from schemas.secrets import Secret
from schemas.sections.console import ConsoleSettings
from schemas.sections.endpoints import ENDPOINT_NAME_PATTERN, EndpointSettings
from schemas.sections.kafka import KafkaSettings
from schemas.sections.programs import IngestSettings, ProcessSettings, ReconcileSettings, SequenceSettings
from schemas.sections.values import Section, unresolved_secret
from schemas.shipstream_api import api_url


class ShipstreamSettings(Section):
    """An account at ShipStream's management API, for `dropstream shipstream` and `dropstream endpoints add`."""

    url: Annotated[str, AfterValidator(api_url)]
    """The address of the instance, such as `https://NAME.shipstream.app`."""
    # A colon would end it early in HTTP Basic: RFC 7617, section 2.
    username: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]+$")]
    """The user of the API; it has no colon."""
    api_key: Annotated[Secret, PlainValidator(unresolved_secret)]
    """A reference to the API key, `env:NAME` or `file:PATH`; only the verbs that call the API resolve it."""
    # The vendor prefers `basic`; `session` logs in once a run: https://docs.shipstream.io/merchant-api/authentication
    authentication: Literal["basic", "session"] = "basic"
    """`basic` sends user and key with each call, as ShipStream recommends; `session` logs in once a run."""
    answer_timeout_ms: Annotated[int, Field(ge=100, le=600_000)] = 30_000
    """How long one call may take."""


class Settings(Section):
    """The whole file. These keys stand before the first table and count for every program; one table follows for each
    part, each endpoint and each ShipStream account."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important log lines that a long-running program writes."""
    log_format: Literal["automatic", "json", "console"] = "automatic"
    """`json` writes a JSON object a line, `console` writes lines for a person; `automatic` is `console` where the log
    goes to a terminal, else `json`."""
    kafka: KafkaSettings = KafkaSettings()
    ingest: IngestSettings = IngestSettings()
    process: ProcessSettings = ProcessSettings()
    sequence: SequenceSettings = SequenceSettings()
    shipstream: dict[Annotated[str, Field(pattern=ENDPOINT_NAME_PATTERN)], ShipstreamSettings] = {}
    reconcile: ReconcileSettings = ReconcileSettings()
    console: ConsoleSettings = ConsoleSettings()
    endpoints: dict[Annotated[str, Field(pattern=ENDPOINT_NAME_PATTERN)], EndpointSettings]
