"""The trip of one webhook, as `docs/architecture.md` tells it, is the one that it really makes."""

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from ingest.app import ingress
from ingest.receive import Stamps
from ops.kafka.reader import read_topic
from processors.providers import discover
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.checkout import ROOT
from tests.support.histories import processing
from tests.support.processing import ENDPOINTS, ENVIRON, MORTAL, prepared, signed
from tests.support.raw_http import RawClient, post
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

_PACKAGES = tuple(str(ROOT / package) for package in ("ingest", "processors", "schemas"))
_INGEST = '[ingest]\nhost = "127.0.0.1"\nport = 0\nspool_bytes_max = 0\n'
_TRIPS = 3
_TAKEN_IN = "processors/runtime/byte_account.py"
_STEPS_MAX = 25


@contextmanager
def files_that_run() -> Iterator[dict[str, None]]:
    """The files of the product whose functions are called inside, in the order of their first call."""
    files: dict[str, None] = {}

    def note(frame: FrameType, event: str, _arg: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(_PACKAGES):
            file = path.removeprefix(f"{ROOT}/")
            if file == _TAKEN_IN and file not in files:
                # A group looks for records all the time; of the trip is what it does once it has the webhook's.
                for name in [one for one in files if one.startswith("processors/")]:
                    del files[name]
            files.setdefault(file)

    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)


async def order_count(settings: Settings) -> int:
    """How many events are in `orders`; read in a thread of its own, so that reading is no part of the trip."""
    return await asyncio.to_thread(lambda: len(asyncio.run(read_topic(settings, "orders"))))


async def trips(settings: Settings) -> list[dict[str, None]]:
    """The files of some webhooks, one after the other, each from its bytes at the socket to its event in `orders`."""
    (sample,) = [one for one in discover()["shipstream"].samples if one.name == "shipstream-order-created"]
    stamps = Stamps(new_id=uuid7, now_us=lambda: time.time_ns() // 1_000)
    found = []
    async with ingress(settings, registry=CollectorRegistry(), stamps=stamps) as running, processing(settings):
        await until(lambda: running.publisher.connected)
        # The first one finds partitions that are being opened, and other things that are done once.
        for number in range(1, _TRIPS + 2):
            delivery = signed(sample, "shipstream", "shipstream", number)
            headers = [name.encode() + b": " + value for name, value in delivery.headers]
            with files_that_run() as files:
                async with RawClient(running.port) as client:
                    await client.send(post("/webhooks/shipstream", delivery.body, *headers))
                    assert (await client.answer()).status == 200
                while await order_count(settings) < number:  # noqa: ASYNC110 nobody tells of an event
                    await asyncio.sleep(0.01)
            found.append(files)
    return found[1:]


def paths(text: str) -> list[str]:
    """The files that a paper names, each once, in the order in which it names them first."""
    return list(dict.fromkeys(re.findall(r"`((?:ingest|processors|schemas)/[\w/]+(?:\.py|/))`", text)))


async def test_the_trip_of_one_webhook_is_the_one_in_the_papers(settings: SettingsFactory) -> None:
    """The papers name each file that a webhook passes, in order, and the steps are few enough to read."""
    mine = await prepared(settings(_INGEST + ENDPOINTS + MORTAL, environ=ENVIRON))
    found = [[_as_named(file) for file in trip] for trip in await trips(mine)]
    # What runs now and then, whether a webhook comes or not, does not run in each of them.
    passed = set.intersection(*map(set, found))
    paper = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = paper.partition("## The trip of one webhook")[2].partition("\n## ")[0]
    trip, _, rest = section.partition("### What the steps use")
    steps, used = paths(trip), paths(rest.partition("\n### ")[0])
    assert passed - {*steps, *used} == set()
    # Nor does it come too early in each of them: a watch that ticks in one names its file before the webhook is there.
    assert steps in [[file for file in dict.fromkeys(trip) if file in passed and file in steps] for trip in found]
    assert len(steps) <= _STEPS_MAX


def _as_named(file: str) -> str:
    """The papers name the folder of the providers, for each delivery passes one of them."""
    return "processors/providers/" if file.startswith("processors/providers/") else file
