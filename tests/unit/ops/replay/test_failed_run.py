"""What a replay does with its producer when a transaction failed, before it goes on with another one."""

from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from ops.replay import run
from ops.replay.run import Pace, ReplayRun
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.notes.replays import Choice, Range, ReplayPlan
from tests.support.processing import ENDPOINTS, ENVIRON


class Producer:
    """A producer that notes what is asked of it."""

    calls: list[str]

    def __init__(self, **_: Any) -> None:
        type(self).calls = []

    async def start(self) -> None:
        self.calls.append("start")

    async def settle(self) -> None:
        self.calls.append("settle")

    async def stop(self) -> None:
        self.calls.append("stop")


async def test_what_was_committed_is_settled_before_the_next_producer_aborts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is told as it was; where nothing failed, nothing is settled."""
    monkeypatch.setattr(run, "GroupProducer", Producer)
    text = f'[kafka]\nbootstrap_servers = "127.0.0.1:1"\n{ENDPOINTS}'
    settings = read_configuration(text, source="test", context=Context(environ=ENVIRON, providers=set(discover())))
    rules = deliver_rules(settings.endpoints, settings, discover())
    plan = ReplayPlan(id="replay-20260521T140000Z-3fa9c1", source="raw", choice=Choice(), ranges=())
    replay = ReplayRun(settings, plan, rules, Pace(), lambda _: None)
    with pytest.raises(KafkaConnectionError):
        async with replay._producer(Range(0, 0, 1)):  # noqa: SLF001 the rest of a run needs a cluster
            raise KafkaConnectionError
    assert Producer.calls == ["start", "settle", "stop"]
    async with replay._producer(Range(0, 0, 1)):  # noqa: SLF001 as above
        pass
    assert Producer.calls == ["start", "stop"]
