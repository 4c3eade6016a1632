"""Puts on record what is done from the console: acts before they are done, logins when Kafka takes them.

A login does not wait for Kafka: a person on call must come in when Kafka is away. It stands in the program's log at
once, and in the topic when Kafka is back. Strangers who guess tokens must not fill the topic, so refused tries beyond
so many a minute are told together, with their number.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from ops.people.person import NOBODY, Asker
from ops.people.writing import ActEnding, WriteAct, begun, recorded
from schemas.errors import DropstreamError
from schemas.notes.acts import Act, ActFacts, ActKind, ActStage

_WAITING_MAX = 1_000
_REFUSED_MAX = 60
_MINUTE_S = 60.0
_AGAIN_S = 5.0
_AGAIN_S_MAX = 60.0

_log = structlog.get_logger()


@dataclass(slots=True)
class ActLog:
    """Writes with `write`; `run` must run beside it, for the logins."""

    write: WriteAct
    clock: Callable[[], float] = time.monotonic
    again_s: float = _AGAIN_S
    _waiting: deque[Act] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _minute_began: float = float("-inf")
    _refused: int = 0
    _untold: int = 0

    def recorded(self, kind: ActKind, asker: Asker, facts: ActFacts) -> AbstractAsyncContextManager[ActEnding]:
        """Puts an act on record around the block.

        Raises:
            NotRecordedError: the beginning could not be written; the block has not run.
        """
        return recorded(self.write, begun(kind, asker, facts, datetime.now(UTC)))

    def note_login(self, asker: Asker) -> None:
        """Notes that a person has come in."""
        _log.info("console_login", address=asker.place, session=asker.session, who=asker.person.name)
        self._note(asker, ActStage.DONE, ActFacts())

    def note_refused(self, place: str) -> None:
        """Notes a try with a wrong token from this address."""
        if self.clock() - self._minute_began >= _MINUTE_S:
            self._minute_began, self._refused = self.clock(), 0
        self._refused += 1
        if self._refused > _REFUSED_MAX:
            self._untold += 1
            return
        tries, self._untold = 1 + self._untold, 0
        self._note(Asker(NOBODY, place), ActStage.REFUSED, ActFacts(counts={"tries": tries}))

    async def run(self) -> None:
        """Writes the logins, in their order, however often Kafka goes; it is asked ever less often while it is away."""
        again_s = self.again_s
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                act = self._waiting[0]
                try:
                    await self.write(act)
                except DropstreamError as error:
                    why = str(error).splitlines()[0]
                    _log.warning("logins_not_recorded", count=len(self._waiting), why=why, again_s=again_s)
                    await asyncio.sleep(again_s)
                    again_s = min(2 * again_s, _AGAIN_S_MAX)
                    continue
                again_s = self.again_s
                # It may have been dropped meanwhile, for newer ones.
                if self._waiting and self._waiting[0] is act:
                    self._waiting.popleft()

    def _note(self, asker: Asker, stage: ActStage, facts: ActFacts) -> None:
        if len(self._waiting) >= _WAITING_MAX:
            # Strangers who guess must not push out who came in.
            dropped = next((one for one in self._waiting if one.stage is ActStage.REFUSED), self._waiting[0])
            self._waiting.remove(dropped)
            _log.warning("login_not_recorded", id=dropped.id, stage=dropped.stage, waiting=_WAITING_MAX)
        self._waiting.append(replace(begun(ActKind.LOGIN, asker, facts, datetime.now(UTC)), stage=stage))
        self._arrived.set()
