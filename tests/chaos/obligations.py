"""Every 200 is an obligation: load on a running ingress, and afterwards the judgement of what `raw` holds.

Each endpoint has one sender that gives the next delivery only when the last one was answered 200, as a provider that
keeps its order would; so the order in which an endpoint's deliveries first appear in `raw` is known.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from ops.kafka.reader import read_topic
from schemas.settings import Settings

SENDERS = 20
_PAUSE_S = 0.02
_RETRY_S = 0.1
# A client gives up as ShipStream does: https://docs.shipstream.io/merchant-api/webhook
_CLIENT_TIMEOUT_S = 5.0
_BODY_BYTES = (100, 2_000)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the obligations; `copies` are records beyond the first of a body, which later steps drop."""

    obligations: int
    found: int
    lost: int
    copies: int
    disordered: int


@dataclass
class Load:
    """Senders on the endpoints `e0` ... of the ingress at `url`; `run` until `ending` is set."""

    url: str
    chance: random.Random
    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    longest_s: float = 0.0
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    pause_s: float = _PAUSE_S

    async def run(self) -> None:
        """Sends until `ending` is set, then ends with what is under way."""
        timeout = aiohttp.ClientTimeout(total=_CLIENT_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as client, asyncio.TaskGroup() as senders:
            for number in range(SENDERS):
                senders.create_task(self._send(client, f"e{number}"))

    @property
    def count(self) -> int:
        """How many were answered 200 so far."""
        return self.answers["200"]

    async def _send(self, client: aiohttp.ClientSession, endpoint: str) -> None:
        self.acknowledged.setdefault(endpoint, [])
        number = 0
        while not self.ending.is_set():
            number += 1
            body = f"{endpoint}:{number}:".encode() + self.chance.randbytes(self.chance.randint(*_BODY_BYTES))
            while not (await self._delivered(client, endpoint, body) or self.ending.is_set()):  # noqa: ASYNC110
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(self.pause_s)

    async def _delivered(self, client: aiohttp.ClientSession, endpoint: str, body: bytes) -> bool:
        began_at = time.perf_counter()
        try:
            async with client.post(f"{self.url}/webhooks/{endpoint}", data=body) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers["none" if isinstance(error, aiohttp.ClientError) else "too late"] += 1
            return False
        self.answers[str(status)] += 1
        if status != 200:
            return False
        self.longest_s = max(self.longest_s, time.perf_counter() - began_at)
        self.acknowledged[endpoint].append(hashlib.sha256(body).hexdigest())
        return True


async def judge(settings: Settings, load: Load) -> Verdict:
    """All of `raw` against what was answered 200."""
    first_seen: dict[str, dict[str, int]] = {}
    records = await read_topic(settings, "raw")
    for place, record in enumerate(sorted(records, key=lambda one: (one.position.partition, one.position.offset))):
        endpoint = (record.key or b"").decode()
        digest = hashlib.sha256(record.value or b"").hexdigest()
        first_seen.setdefault(endpoint, {}).setdefault(digest, place)
    obligations = found = disordered = 0
    for endpoint, digests in load.acknowledged.items():
        seen = first_seen.get(endpoint, {})
        places = [seen[digest] for digest in digests if digest in seen]
        obligations += len(digests)
        found += len(places)
        disordered += sum(earlier > later for earlier, later in pairwise(places))
    copies = len(records) - sum(map(len, first_seen.values()))
    return Verdict(obligations, found, obligations - found, copies, disordered)
