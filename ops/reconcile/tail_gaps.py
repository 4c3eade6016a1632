"""Finds what a hole cannot show: deliveries that are missing at the end of a sequence, with nothing behind them.

ShipStream's list of webhooks has the number of the last delivery as a property, though its example does not show it:
where the number is there, it is compared with the highest one that came. https://docs.shipstream.io/merchant-api/webhook
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from ops.kafka.reader import full_name, open_reader
from ops.shipstream.webhooks import Webhook
from schemas.errors import DropstreamError
from schemas.notes.sequence_observations import Observation, read_observation
from schemas.secrets import resolve
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings
from schemas.shipstream_api import api_url

# The last few may be on their way: ShipStream tries for the first time at once, and again after a minute.
_ON_THE_WAY = timedelta(minutes=2)
_PAUSES_MIN = 20
_LONGER_THAN_EVER = 3
_OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TailFinding:
    """What was found of the end of an endpoint's sequence, in a sentence that says what to do."""

    level: Literal["ok", "warning"]
    endpoint: str
    sentence: str


@dataclass(slots=True)
class Tail:
    """What came of one endpoint's sequence, as far as its end is judged by it; added in the order of receipts."""

    newest: Observation | None = None
    _pauses: int = 0
    _longest: timedelta = timedelta(0)

    def add(self, observation: Observation) -> None:
        """Adds the next one; a receipt that is older than the newest changes nothing."""
        if self.newest is not None:
            pause = datetime.fromisoformat(observation.recordedtime) - datetime.fromisoformat(self.newest.recordedtime)
            if pause < timedelta(0):
                return
            self._pauses += 1
            self._longest = max(self._longest, pause)
        self.newest = observation

    @property
    def longest_pause(self) -> timedelta | None:
        """The longest time between two deliveries in a row; None where there are too few to know a rhythm."""
        return self._longest if self._pauses >= _PAUSES_MIN else None


@dataclass(slots=True)
class Tails:
    """Of every endpoint; bounded by the number of endpoints, however many ids came."""

    _tails: dict[str, Tail] = field(default_factory=dict)

    def add(self, value: bytes | None) -> None:
        """Adds the next record of `sequence`; one that is no observation is passed over."""
        if (observation := read_observation(value)) is not None:
            self._tails.setdefault(observation.endpoint, Tail()).add(observation)

    def of(self, endpoint: str) -> Tail:
        """That of the endpoint, empty where nothing came."""
        return self._tails.get(endpoint, Tail())


async def find_tail_gaps(settings: Settings, now: datetime) -> tuple[TailFinding, ...]:
    """The findings of every ShipStream endpoint that has an API to ask; asks it, and changes nothing.

    Raises:
        DropstreamError: the observations of sequence ids cannot be read.
    """
    if not _asked(settings):
        return ()
    seen = Tails()
    async with open_reader(settings, [full_name("sequence", settings)], "beginning") as reader:
        while not await reader.is_at_end():
            for record in await reader.fetch():
                seen.add(record.value)
    return await find_all(settings, seen, now)


def _asked(settings: Settings) -> Mapping[str, EndpointSettings]:
    """The endpoints whose list of webhooks can be asked for."""
    return {
        name: endpoint
        for name, endpoint in settings.endpoints.items()
        if endpoint.provider == "shipstream" and endpoint.enabled and endpoint.api and endpoint.reconcile != "off"
    }


async def find_all(settings: Settings, seen: "Tails", now: datetime) -> tuple[TailFinding, ...]:
    """As `find_tail_gaps`, by the observations that were read."""
    asked = _asked(settings).items()
    return tuple([await find_tail_gap(name, endpoint, seen.of(name), now) for name, endpoint in asked])


async def find_tail_gap(name: str, endpoint: EndpointSettings, seen: "Tail", now: datetime) -> TailFinding:
    """The finding about one endpoint; asks its API."""
    try:
        webhooks = await _webhooks(endpoint)
    except (DropstreamError, ValueError) as error:
        return TailFinding("warning", name, f"its API cannot be asked: {str(error).splitlines()[0]}")
    return judge_tail(name, webhooks, seen, now)


async def _webhooks(endpoint: EndpointSettings) -> tuple[Webhook, ...]:
    # An HTTP client takes longer to load than all else of `dropstream doctor`, and most installations have no API.
    from ops.shipstream.client import Account, open_api  # noqa: PLC0415 as above
    from ops.shipstream.operations import listed  # noqa: PLC0415 as above

    api = endpoint.api
    if api is None or api.url is None or api.username is None:
        raise ValueError("url and username are missing in the table api")
    account = Account(
        url=api_url(api.url),
        username=api.username,
        api_key=resolve(api.key.reference, os.environ).value.decode(errors="replace"),
        authentication="basic",
        answer_timeout_s=min(10.0, api.answer_timeout_ms / 1000),
    )
    async with open_api(account, lambda _exchange: None) as client:
        return await listed(client)


def judge_tail(name: str, webhooks: Iterable[Webhook], seen: "Tail", now: datetime) -> TailFinding:
    """The finding about one endpoint, by its webhook as ShipStream lists it and by the ids that came; pure."""
    own = [one for one in webhooks if _endpoint_of(one.url) == name]
    if not own:
        return TailFinding("warning", name, "ShipStream lists no webhook with its URL; is it registered elsewhere?")
    if not own[0].is_active:
        return TailFinding(
            "warning",
            name,
            f"its webhook {own[0].webhook_id} is inactive; dropstream shipstream webhooks enable {own[0].webhook_id}",
        )
    newest = seen.newest
    if newest is None:
        return TailFinding("ok", name, "its webhook is active; nothing with a sequence id came yet")
    since = datetime.fromisoformat(newest.recordedtime)
    fetch = f"dropstream reconcile --endpoint {name} --from {since - _OVERLAP:%Y-%m-%dT%H:%M:%SZ}"
    last = own[0].last_number
    if last is not None and last > newest.sequence and now - since > _ON_THE_WAY:
        return TailFinding(
            "warning", name, f"ShipStream made {last}, the newest that came is {newest.sequence}; {fetch}"
        )
    if last is None and (longest := seen.longest_pause) is not None and now - since > _LONGER_THAN_EVER * longest:
        quiet, usual = _words(now - since), _words(longest)
        return TailFinding("warning", name, f"nothing came for {quiet}, at most {usual} before; {fetch}")
    return TailFinding("ok", name, f"its webhook is active; the newest id that came is {newest.sequence}")


def _endpoint_of(url: str) -> str:
    try:
        parts = urlsplit(url).path.split("/")
    except ValueError:
        return ""
    places: Mapping[str, int] = {part: number for number, part in enumerate(parts)}
    number = places.get("webhooks", len(parts))
    return parts[number + 1] if number + 1 < len(parts) else ""


def _words(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
