"""The two groups of `dropstream process`: how they end together, and their health as one."""

import asyncio

import pytest

from ops.service.process_command import joint_health, run_together
from schemas.errors import DropstreamError
from schemas.health import Health


class Ending:
    """A group that ends by itself with an error, or without one when it is told to stop."""

    def __init__(self, stopping: asyncio.Event, error: Exception | None = None) -> None:
        self.stopping = stopping
        self.error = error
        self.ended_in_order = False

    async def run(self) -> None:
        if self.error is not None:
            raise self.error
        await self.stopping.wait()
        self.ended_in_order = True

    def health(self) -> Health:
        return Health(live=True, ready=self.error is None, facts={"connected": self.error is None})


async def test_a_group_that_fails_ends_the_other_in_good_order() -> None:
    """The process ends with the one sentence of the failure, after the other group has finished what it was at."""
    stopping = asyncio.Event()
    other = Ending(stopping)
    with pytest.raises(DropstreamError, match="no topic"):
        await run_together([other, Ending(stopping, DropstreamError("no topic"))], stopping)
    assert other.ended_in_order


async def test_of_two_failures_the_sentence_for_a_person_is_told() -> None:
    """A bug beside it does not hide what a person can mend."""
    stopping = asyncio.Event()
    failing = [Ending(stopping, KeyError("bug")), Ending(stopping, DropstreamError("no topic"))]
    with pytest.raises(DropstreamError, match="no topic"):
        await run_together(failing, stopping)
    with pytest.raises(KeyError):
        await run_together(failing[:1], stopping)


async def test_health_is_that_of_both_groups() -> None:
    """One group that is not ready makes the process not ready, and its facts say which one it is."""
    stopping = asyncio.Event()
    groups = {"deliver": Ending(stopping), "sequence": Ending(stopping, KeyError())}
    assert joint_health(groups) == Health(
        live=True, ready=False, facts={"deliver_connected": True, "sequence_connected": False}
    )
