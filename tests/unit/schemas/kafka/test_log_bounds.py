"""The bounds of logs of which one cannot be asked."""

from collections.abc import Collection
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from schemas.kafka.log_bounds import LogBounds, NotKnown, log_bounds

FIRST, SECOND, THIRD = (TopicPartition("raw", number) for number in range(3))


@dataclass
class Cluster:
    """Answers for every partition but those in `stuck`, of which one spoils the whole question, as in aiokafka."""

    stuck: Collection[TopicPartition] = ()
    asked: list[list[TopicPartition]] = field(default_factory=list)

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked.append(list(partitions))
        if set(partitions) & set(self.stuck):
            raise KafkaTimeoutError
        return {one: 10 * one.partition for one in partitions}

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {one: 10 * one.partition + 5 for one in partitions}


async def test_all_are_asked_in_one_question() -> None:
    """Where every leader answers, the number of partitions costs no further question."""
    cluster = Cluster()
    assert await log_bounds(cluster, [FIRST, SECOND]) == {FIRST: LogBounds(0, 5), SECOND: LogBounds(10, 15)}
    assert cluster.asked == [[FIRST, SECOND]]


async def test_one_that_is_stuck_spoils_no_other() -> None:
    """What nobody can say is not known, with the reason; the other partitions have their figures."""
    found = await log_bounds(Cluster(stuck=[SECOND]), [FIRST, SECOND, THIRD], leaderless=[THIRD])
    assert found == {
        FIRST: LogBounds(0, 5),
        SECOND: NotKnown("its leader does not answer (KafkaTimeoutError)"),
        THIRD: NotKnown("the partition has no leader"),
    }
    assert str(found[SECOND]) == "unknown"
