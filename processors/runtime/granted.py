"""Whether the cluster lets a consumer group do what it does, asked before its first record."""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from processors.runtime.group_spec import GroupSpec
from processors.runtime.producer_slot import producer_ids
from schemas.errors import DropstreamError
from schemas.kafka.group_member import client_of
from schemas.kafka.rights.grants import missing_sentence
from schemas.kafka.rights.named_metadata import topics_there
from schemas.kafka.rights.probe import missing_rights
from schemas.kafka.rights.table import Resource, Right, group_rights
from schemas.late_log import LateLog

_log = LateLog()


async def granted_topics(consumer: AIOKafkaConsumer, spec: GroupSpec[Any]) -> Mapping[str, int]:
    """How many partitions each of the group's topics has; those that are not there are left out.

    Where the cluster names the topics and does not say all of what is granted, as while the coordinator of another
    group is away, the group begins all the same, and the log says so: a refusal is then told where it is met.

    Raises:
        DropstreamError: a right is missing; names it, and what grants it.
        KafkaError, TimeoutError: the cluster cannot be asked now.
    """
    kafka, client = spec.settings.kafka, client_of(consumer)
    needed, ids = group_rights(spec.name, kafka.topic_prefix), producer_ids(spec.id, spec.settings)
    missing: list[Right] = []
    unknown: dict[Resource, BaseException] = {}
    for kind in Resource:
        try:
            missing += await missing_rights(client, [one for one in needed if one.resource is kind], ids=ids)
        except (KafkaError, TimeoutError) as error:
            unknown[kind] = error
    if missing:
        raise DropstreamError(f"group {spec.name}: {missing_sentence(missing, kafka)}")
    topics = await topics_there(client, spec.topics)
    for kind, why in unknown.items():
        _log.warning("rights_unknown", group=spec.name, of=kind, error=repr(why))
    return topics
