"""The HTTP handlers of the page of acts: who did what, the newest first."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web
from aiokafka.errors import KafkaError

from ops.console.acting.acts import Acts
from ops.console.answers import FramedPage, as_json, framed
from ops.people.reading import ActQuery, newest_acts, summary_of_act
from ops.suggest import check_name
from ops.times import parse_time
from schemas.errors import DropstreamError, UsageError
from schemas.notes.acts import Act, ActKind, ActStage, act_record

ACTS = FramedPage(
    "people.html",
    script="people.js",
    title="Acts · dropstream console",
    skip_to="the acts",
    at="acts",
)
_WITHIN_S = 20.0


@dataclass(slots=True)
class ActPages:
    """The handlers; one read runs at a time, and the others wait for their turn."""

    acts: Acts
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def routes(self) -> list[web.RouteDef]:
        """The routes of all handlers."""
        return [web.get("/acts", framed(ACTS)), web.get("/api/acts", as_json(self._list))]

    async def _list(self, request: web.Request) -> object:
        query, before = read_act_query(request.query)
        try:
            async with self._turns, asyncio.timeout(_WITHIN_S):
                page = await newest_acts(self.acts.settings, query, before)
        except (KafkaError, TimeoutError) as error:
            raise DropstreamError("Kafka did not answer in time; try again") from error
        return {
            "rows": [_row(offset, act) for offset, act in page.acts],
            "older": page.older,
            "acts": [one.value for one in ActKind],
            "stages": [one.value for one in ActStage],
        }


def read_act_query(asked: Mapping[str, str]) -> tuple[ActQuery, int | None]:
    """The query that the parameters of a URL say: who, act, stage, endpoint, from, to; and `before`, an offset.

    Raises:
        UsageError: one of them says nothing that there is; names what is wanted.
    """
    given = {name: value for name, value in asked.items() if value}
    check_name("act", given.get("act"), [one.value for one in ActKind])
    check_name("stage", given.get("stage"), [one.value for one in ActStage])
    before = given.get("before")
    if before is not None and not (before.isascii() and before.isdecimal() and len(before) < 19):
        raise UsageError("before: an offset is wanted")
    begin, until = (_time(name, given.get(name)) for name in ("from", "to"))
    query = ActQuery(given.get("who", ""), given.get("act"), given.get("stage"), given.get("endpoint"), begin, until)
    return query, None if before is None else int(before)


def _row(offset: int, act: Act) -> dict[str, Any]:
    return {
        **orjson.loads(act_record(act).value),
        "offset": offset,
        "what": summary_of_act(replace(act, deliveries=None)),
    }


def _time(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} {error}") from error
