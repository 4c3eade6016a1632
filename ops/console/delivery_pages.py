"""The HTTP handlers of the deliveries: the list, the search, one delivery, and the act of unmasking it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from aiokafka.errors import KafkaError

from ops.console.acting.acts import Acts
from ops.console.answers import FramedPage, as_json, framed
from ops.console.delivery_views import failed_line, step_line, unmasked, whole
from ops.deliveries.detail import DeliveryDetail, read_delivery
from ops.deliveries.listing import DeliveryQuery, open_listing
from ops.deliveries.summary import DeliveryOutcome
from ops.deliveries.words import read_words
from ops.people.access import ASKER
from ops.send.client import own_base_url
from ops.suggest import check_name
from ops.times import parse_time
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.errors import DropstreamError, UsageError
from schemas.notes.acts import ActFacts, ActKind
from schemas.settings import Settings
from schemas.times import timestamp_ms

LIST = FramedPage(
    "deliveries.html",
    script="deliveries.js",
    title="Deliveries · dropstream console",
    skip_to="the deliveries",
    at="deliveries",
)
DELIVERY = FramedPage(
    "delivery.html",
    script="delivery.js",
    title="Delivery · dropstream console",
    skip_to="the delivery",
    at="deliveries",
)
_WRITE_WITHIN_S = 10.0
_TOGETHER_MAX = 3
_log = structlog.get_logger()


@dataclass(slots=True)
class DeliveryPages:
    """The handlers; a few reads run side by side, and the others wait for their turn."""

    acts: Acts
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_TOGETHER_MAX))

    def routes(self) -> list[web.RouteDef]:
        """The routes of all handlers."""
        return [
            web.get("/deliveries", framed(LIST)),
            web.get("/deliveries/{partition:\\d{1,9}}:{offset:\\d{1,18}}", framed(DELIVERY)),
            web.get("/api/deliveries", self._list),
            web.get("/api/deliveries/{partition:\\d{1,9}}:{offset:\\d{1,18}}", as_json(self._one)),
            web.post("/api/deliveries/{partition:\\d{1,9}}:{offset:\\d{1,18}}/unmask", as_json(self._unmask)),
        ]

    @property
    def _settings(self) -> Settings:
        return self.acts.settings

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """Sends the steps of a listing as lines of JSON, as they come; a fault is the last line."""
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson; charset=utf-8"})
        await response.prepare(request)
        try:
            try:
                query = read_query(request.query, self._settings)
                async with self._turns, open_listing(self._settings) as listing:
                    async for step in listing.run(query):
                        await _write(response, step_line(step))
            except DropstreamError as error:
                await _write(response, failed_line(str(error)))
            except (KafkaError, TimeoutError) as error:
                await _write(response, failed_line(f"Kafka did not answer in time ({type(error).__name__}); try again"))
        except (ConnectionError, _TooSlowError):
            pass  # The browser has gone, or asks for something else.
        return response

    async def _one(self, request: web.Request) -> object:
        return whole(await self._read(request))

    async def _unmask(self, request: web.Request) -> object:
        found = await self._read(request)
        place, endpoint, asker = found.summary.place, found.delivery.endpoint, request[ASKER]
        _log.info("console_act", act="unmask", who=str(asker), deliveries=place)
        async with self.acts.log.recorded(ActKind.UNMASK, asker, ActFacts(endpoint=endpoint, deliveries=(place,))):
            base_url = self._settings.console.ingest_url or own_base_url(self._settings.ingest)
            return unmasked(found, f"{base_url}/webhooks/{endpoint}")

    async def _read(self, request: web.Request) -> DeliveryDetail:
        partition, offset = int(request.match_info["partition"]), int(request.match_info["offset"])
        settings = self._settings
        async with self._turns:
            try:
                return await read_delivery(
                    settings, deliver_rules(settings.endpoints, settings, discover()), partition, offset
                )
            except (KafkaError, TimeoutError) as error:
                raise DropstreamError("Kafka did not answer in time; try again") from error


class _TooSlowError(Exception):
    """The browser does not take what it asked for."""


async def _write(response: web.StreamResponse, line: bytes) -> None:
    try:
        async with asyncio.timeout(_WRITE_WITHIN_S):
            await response.write(line)
    except TimeoutError as error:
        raise _TooSlowError from error


def read_query(asked: Mapping[str, str], settings: Settings) -> DeliveryQuery:
    """The query that the parameters of a URL say: endpoint, provider, outcome, type, q, from, to, until (in ms).

    Raises:
        UsageError: one of them says nothing that there is; names what is wanted.
    """
    given = {name: value for name, value in asked.items() if value}
    check_name("provider", given.get("provider"), discover())
    check_name("outcome", given.get("outcome"), [one.value for one in DeliveryOutcome])
    begin_ms, until_ms = (_time_ms(name, given.get(name)) for name in ("from", "to"))
    if (older := given.get("until")) is not None:
        if not (older.isascii() and older.isdecimal() and len(older) < 16):
            raise UsageError("until: milliseconds since 1970 are wanted")
        until_ms = int(older)
    event_type = given.get("type")
    if event_type is not None and "." not in event_type.removeprefix("dropstream."):
        raise UsageError("type: a whole type is wanted, such as order.created")
    try:
        words = read_words(given.get("q", ""), settings.kafka.topic_prefix)
    except ValueError as error:
        raise UsageError(f"q: {error}") from error
    return DeliveryQuery(
        endpoint=given.get("endpoint"),
        provider=given.get("provider"),
        outcome=DeliveryOutcome(given["outcome"]) if "outcome" in given else None,
        event_type=event_type,
        words=words,
        begin_ms=begin_ms,
        until_ms=until_ms,
    )


def _time_ms(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return timestamp_ms(parse_time(text))
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} {error}") from error
