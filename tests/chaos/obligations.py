"""Every 200 is an obligation: load on a running ingress, and afterwards the judgement of what `raw` holds.

Each endpoint has several senders, whose deliveries overlap. A sender gives the next delivery only when the last one was
answered 200, as a provider that keeps its order would. So two things are known of the order in which an endpoint's
deliveries must first appear in `raw`: that of each sender, and that of acceptance, which the stamp of receipt tells.
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

ENDPOINTS = 20
_SENDERS_EACH = 3
PAUSE_S = 0.05
_RETRY_S = 0.1
# A client gives up as ShipStream does: https://docs.shipstream.io/merchant-api/webhook
_CLIENT_TIMEOUT_S = 5.0
_BODY_BYTES = (100, 2_000)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the obligations; `copies` are records beyond the first of a body, which later steps drop.

    `most` is how many records the delivery with the most has, `each` how many one has on average; a delivery that its
    sender gave again, after no answer or a 503, is another one.
    """

    obligations: int
    found: int
    lost: int
    copies: int
    disordered: int
    most: int
    each: float


@dataclass
class Load:
    """Senders on the endpoints `e0` ... of the ingress at `url`; `run` until `ending` is set.

    `healthy_served` is which share of the healthy partitions' deliveries went to Kafka at once, where a fault tells.
    """

    url: str
    chance: random.Random
    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    acknowledged_ids: set[bytes] = field(default_factory=set)
    longest_s: float = 0.0
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    pause_s: float = PAUSE_S
    clock_jumps: bool = False
    healthy_served: float | None = None

    async def run(self) -> None:
        """Sends until `ending` is set, then ends with what is under way."""
        timeout = aiohttp.ClientTimeout(total=_CLIENT_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as client, asyncio.TaskGroup() as senders:
            for number in range(ENDPOINTS):
                for sender in range(_SENDERS_EACH):
                    senders.create_task(self._send(client, f"e{number}", sender))

    @property
    def count(self) -> int:
        """How many were answered 200 so far."""
        return self.answers["200"]

    async def _send(self, client: aiohttp.ClientSession, endpoint: str, sender: int) -> None:
        acknowledged = self.acknowledged.setdefault(f"{endpoint}/{sender}", [])
        number = 0
        while not self.ending.is_set():
            number += 1
            body = f"{endpoint}/{sender}:{number}:".encode() + self.chance.randbytes(self.chance.randint(*_BODY_BYTES))
            while not (await self._delivered(client, endpoint, body, acknowledged) or self.ending.is_set()):  # noqa: ASYNC110
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(self.pause_s)

    async def _delivered(
        self, client: aiohttp.ClientSession, endpoint: str, body: bytes, acknowledged: list[str]
    ) -> bool:
        began_at = time.perf_counter()
        try:
            async with client.post(f"{self.url}/webhooks/{endpoint}", data=body) as response:
                status, id_ = response.status, response.headers.get("Dropstream-Delivery", "")
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers["none" if isinstance(error, aiohttp.ClientError) else "too late"] += 1
            return False
        self.answers[str(status)] += 1
        if status != 200:
            return False
        self.longest_s = max(self.longest_s, time.perf_counter() - began_at)
        acknowledged.append(hashlib.sha256(body).hexdigest())
        self.acknowledged_ids.add(id_.encode())
        return True


async def judge(settings: Settings, load: Load) -> Verdict:
    """All of `raw` against what was answered 200."""
    first_seen: dict[str, dict[str, int]] = {}
    received: dict[str, dict[bytes, bytes]] = {}
    times: Counter[bytes] = Counter()
    records = await read_topic(settings, "raw")
    for place, record in enumerate(sorted(records, key=lambda one: (one.position.partition, one.position.offset))):
        headers = dict(record.headers)
        id_ = headers["dropstream-delivery"] or b""
        times[id_] += 1
        endpoint = (record.key or b"").decode()
        digest = hashlib.sha256(record.value or b"").hexdigest()
        first_seen.setdefault(endpoint, {}).setdefault(digest, place)
        # One that was answered 503 may be written late, and has no place in the order.
        if id_ in load.acknowledged_ids:
            received.setdefault(endpoint, {}).setdefault(id_, headers["dropstream-received-at"] or b"")
    obligations = found = disordered = 0
    for sender, digests in load.acknowledged.items():
        seen = first_seen.get(sender.partition("/")[0], {})
        places = [seen[digest] for digest in digests if digest in seen]
        obligations += len(digests)
        found += len(places)
        disordered += sum(earlier > later for earlier, later in pairwise(places))
    if not load.clock_jumps:
        for stamps in received.values():
            disordered += sum(earlier > later for earlier, later in pairwise(stamps.values()))
    copies = len(records) - sum(map(len, first_seen.values()))
    most, each = max(times.values(), default=0), times.total() / max(1, len(times))
    return Verdict(obligations, found, obligations - found, copies, disordered, most, each)
