"""Makes the cluster agree with the table of topics in `schemas.topics`: creates topics, alters their settings.

Partitions are added by a migration alone (`ops.kafka.migration`): a key moves to another partition, and what is
remembered of it must move too.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from ops.kafka.clients import admin
from ops.kafka.layouts import note_first_layout
from schemas.errors import DropstreamError
from schemas.kafka.codecs import AS_PRODUCED, COMPRESSION_SETTING, can_read
from schemas.kafka.descriptions import DescribedPartition, describe_configs, describe_topics
from schemas.kafka.errors import ACCESS_REFUSED
from schemas.settings import Settings
from schemas.topics import TopicPlan, plan

# Kafka's ConfigSource: set on this very topic, not inherited. https://kafka.apache.org/protocol.html#The_Messages_DescribeConfigs
_SET_ON_TOPIC = 1
_VISIBLE_TIMEOUT_S = 15.0
_VISIBLE_INTERVAL_S = 0.1

TopicVerdict = Literal["missing", "agrees", "differs"]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is: `config` holds every value that counts, `own` those set on the topic itself."""

    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    own: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A planned topic beside the one on the cluster; `found` is None where it is missing."""

    plan: TopicPlan
    found: TopicState | None

    @property
    def verdict(self) -> TopicVerdict:
        """The comparison in one word."""
        if self.found is None:
            return "missing"
        return "differs" if self.shape or self.config else "agrees"

    @property
    def shape(self) -> tuple[str, ...]:
        """Differences that only a new topic can mend, each a sentence."""
        if self.found is None:
            return ()
        pairs = (
            ("partitions", self.found.partitions, self.plan.partitions),
            ("replication factor", self.found.replication_factor, self.plan.replication_factor),
        )
        return tuple(
            f"{name} {found}, planned {planned}"
            for name, found, planned in pairs
            if found != planned and (name != "partitions" or self.plan.grows)
        )

    @property
    def is_to_grow(self) -> bool:
        """Whether it has fewer partitions than planned."""
        return self.found is not None and self.plan.grows and self.found.partitions < self.plan.partitions

    @property
    def config(self) -> dict[str, tuple[str | None, str]]:
        """The settings that differ: name -> (found, planned)."""
        if self.found is None:
            return {}
        return {
            name: (self.found.config.get(name), planned)
            for name, planned in self.plan.config.items()
            if self.found.config.get(name) != planned
        }

    @property
    def compression(self) -> str:
        """The topic's `compression.type`, in Kafka's words; empty where the topic is missing."""
        return "" if self.found is None else self.found.config.get(COMPRESSION_SETTING, AS_PRODUCED)

    @property
    def is_readable(self) -> bool:
        """Whether this installation can read what the topic's compression makes of its records."""
        return self.found is None or can_read(self.compression)

    @property
    def sentence(self) -> str:
        """Every difference, for a person."""
        settings = (f"{name} {found}, planned {planned}" for name, (found, planned) in self.config.items())
        return "; ".join((*self.shape, *settings))


@dataclass(frozen=True, slots=True)
class Applied:
    """The topics that `apply` created and altered, and the comparison after it."""

    created: tuple[str, ...]
    altered: tuple[str, ...]
    now: tuple[Comparison, ...]


def compare(plans: Iterable[TopicPlan], states: Mapping[str, TopicState]) -> tuple[Comparison, ...]:
    """Each plan beside the state of the topic of its name."""
    return tuple(Comparison(one, states.get(one.name)) for one in plans)


async def read_comparisons(settings: Settings) -> tuple[Comparison, ...]:
    """Each planned topic beside the one on the cluster; changes nothing."""
    async with admin(settings) as client:
        return await _comparisons(client, plan(settings))


async def apply(settings: Settings) -> Applied:
    """Creates what is missing and alters settings that differ; applied again, it changes nothing.

    Raises:
        DropstreamError: when the cluster is not reachable or refuses.
    """
    async with admin(settings) as client:
        before = await _comparisons(client, plan(settings))
        missing = [one.plan for one in before if one.verdict == "missing"]
        if missing:
            await _create(client, missing)
        # Read again: another process may have created a missing topic a moment ago, with other settings.
        made = await _settled(client, plan(settings), lambda one: one.found is not None) if missing else before
        altered = [one for one in made if one.config]
        if altered:
            await _alter(client, altered)
        now = await _settled(client, plan(settings), lambda one: not one.config) if altered else made
    await note_first_layout(settings)
    return Applied(created=tuple(one.name for one in missing), altered=tuple(one.plan.name for one in altered), now=now)


async def existing(settings: Settings, names: Collection[str]) -> list[str]:
    """Those of these topics (full names) that are on the cluster."""
    async with admin(settings) as client:
        described = await describe_topics(client, names)
        return [name for name in described if name in names and described[name].partitions]


async def create(settings: Settings, plans: Sequence[TopicPlan]) -> None:
    """Creates these topics where they are missing; they can be written to on return.

    Raises:
        DropstreamError: when the cluster is not reachable or refuses.
    """
    async with admin(settings) as client:
        missing = [one.plan for one in await _comparisons(client, plans) if one.found is None]
        if missing:
            await _create(client, missing)
            await _settled(client, plans, lambda one: one.found is not None)


async def _comparisons(client: AIOKafkaAdminClient, plans: Sequence[TopicPlan]) -> tuple[Comparison, ...]:
    return compare(plans, await _read_states(client, {one.name for one in plans}))


async def _read_states(client: AIOKafkaAdminClient, names: set[str]) -> dict[str, TopicState]:
    found = await describe_topics(client, names)
    described = {name: one.partitions for name, one in found.items() if name in names}
    if not described:
        return {}
    configs = await describe_configs(client, described)
    return {name: _state(partitions, configs[name]) for name, partitions in described.items()}


def _state(partitions: Sequence[DescribedPartition], values: Sequence[tuple[str, str, int]]) -> TopicState:
    return TopicState(
        partitions=len(partitions),
        replication_factor=min(one.replicas for one in partitions),
        config={name: value for name, value, _ in values},
        own={name: value for name, value, source in values if source == _SET_ON_TOPIC},
    )


async def _create(client: AIOKafkaAdminClient, plans: Sequence[TopicPlan]) -> None:
    wanted = [NewTopic(one.name, one.partitions, one.replication_factor, topic_configs=one.config) for one in plans]
    answer = await client.create_topics(wanted)
    _refuse_replicas(plans, [code for _, code, _ in answer.topic_errors], await _brokers(client))
    _refuse(
        (topic, code, message)
        for topic, code, message in answer.topic_errors
        if for_code(code) is not TopicAlreadyExistsError  # somebody else applied the same plan just now
    )


async def _alter(client: AIOKafkaAdminClient, comparisons: Sequence[Comparison]) -> None:
    # This request replaces every setting of a topic, so the settings that others made are sent along.
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, one.plan.name, {**one.found.own, **one.plan.config})
        for one in comparisons
        if one.found
    ]
    for answer in await client.alter_configs(resources):
        _refuse((name, code, message) for code, message, _, name in answer.resources)


async def _brokers(client: AIOKafkaAdminClient) -> int:
    return len((await client.describe_cluster())["brokers"])


def _refuse_replicas(plans: Sequence[TopicPlan], codes: Iterable[int], brokers: int) -> None:
    """Raises where the cluster has fewer brokers than a topic is to have replicas; names the setting."""
    if InvalidReplicationFactorError.errno not in codes:
        return
    replicas = max(one.replication_factor for one in plans)
    raise DropstreamError(
        f"{len(plans)} topics are to have {replicas} replicas, and Kafka has {brokers} "
        f"broker{'' if brokers == 1 else 's'} now; set kafka.replication_factor = {brokers}\n"
        f"Or for this call: DROPSTREAM_KAFKA__REPLICATION_FACTOR={brokers} dropstream topics apply"
    )


def _refuse(answers: Iterable[tuple[str, int, str | None]]) -> None:
    for name, code, message in answers:
        error: type[KafkaError] = for_code(code)
        if issubclass(error, ACCESS_REFUSED):
            raise error(name)
        if code:
            raise DropstreamError(f"{name}: Kafka refused: {message or error.__name__}")


async def _settled(
    client: AIOKafkaAdminClient, plans: Sequence[TopicPlan], is_done: Callable[[Comparison], bool]
) -> tuple[Comparison, ...]:
    """The comparison once every broker's answer shows the change, or after `_VISIBLE_TIMEOUT_S` as it is."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _VISIBLE_TIMEOUT_S
    while True:
        try:
            now = await _comparisons(client, plans)
        except UnknownTopicOrPartitionError:
            # A topic that was made a moment ago is shown by one node of the cluster, and not known yet to another.
            if clock() >= deadline:
                raise
        else:
            if clock() >= deadline or all(is_done(one) for one in now):
                return now
        await asyncio.sleep(_VISIBLE_INTERVAL_S)
