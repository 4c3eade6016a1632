"""Whether the cluster lets a consumer group do what it does, asked before its first record."""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

from processors.runtime.group_spec import GroupSpec
from processors.runtime.producer_slot import producer_ids
from schemas.errors import DropstreamError
from schemas.kafka.group_member import client_of
from schemas.kafka.rights.grants import missing_sentence
from schemas.kafka.rights.named_metadata import topics_there
from schemas.kafka.rights.probe import missing_rights
from schemas.kafka.rights.table import group_rights


async def granted_topics(consumer: AIOKafkaConsumer, spec: GroupSpec[Any]) -> Mapping[str, int]:
    """How many partitions each of the group's topics has; those that are not there are left out.

    Raises:
        DropstreamError: a right is missing; names it, and what grants it.
        KafkaError, TimeoutError: the cluster cannot be asked now.
    """
    kafka, client = spec.settings.kafka, client_of(consumer)
    needed = group_rights(spec.name, kafka.topic_prefix)
    if missing := await missing_rights(client, needed, ids=producer_ids(spec.id, spec.settings)):
        raise DropstreamError(f"group {spec.name}: {missing_sentence(missing, kafka)}")
    return await topics_there(client, spec.topics)
