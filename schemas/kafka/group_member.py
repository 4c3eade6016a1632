"""Who this process is in a consumer group, as the coordinator checks it with each position that is committed.

aiokafka has no public way to ask. What it knows changes with the next JoinGroup, while the old partitions are still in
hand; so it is read in the assigned callback, and kept with the partitions of that assignment.
"""

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One member of one generation of a group; `instance_id` is None without static membership (KIP-345)."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None

    def __post_init__(self) -> None:
        """Refuses to be nobody.

        Raises:
            ValueError: the coordinator would take a position from generation -1 without asking who sends it.
        """
        if self.generation < 0 or not self.member_id:
            raise ValueError(f"generation {self.generation} of group {self.group} names no member")


def member_of(consumer: AIOKafkaConsumer, group: str) -> GroupMember:
    """Who `consumer` is now; call it in the assigned callback, before anything is waited for.

    Raises:
        ValueError: it is no member, because it was thrown out in this moment.
    """
    coordinator = consumer._coordinator
    return GroupMember(
        group=group,
        generation=coordinator.generation,
        member_id=coordinator.member_id,
        instance_id=coordinator._group_instance_id,
    )


def client_of(consumer: AIOKafkaConsumer) -> AIOKafkaClient:
    """The consumer's own client, for questions that the consumer does not ask."""
    return consumer._client
