"""How rights are granted: calls of kafka-acls, Strimzi's KafkaUser, and a sentence that names what is missing."""

import shlex
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from schemas.kafka.login.principal import principal_of
from schemas.kafka.rights.table import Operation, Purpose, Resource, Right
from schemas.sections.kafka import KafkaSettings

# So many things are named in a sentence, and so many lines given.
_TOLD_MAX = 6
_PLACE = "kafka-acls --bootstrap-server {servers} --command-config admin.properties"


def acl_lines(rights: Collection[Right], principal: str, servers: str) -> Iterator[str]:
    """Calls of kafka-acls that grant `rights`, one for all operations on a thing.

    https://kafka.apache.org/43/security/authorization-and-acls/
    """
    for (resource, name, is_prefix), found in _by_thing(rights).items():
        told = " ".join(f"--operation {one}" for one in sorted(found))
        pattern = " --resource-pattern-type prefixed" if is_prefix else ""
        yield (
            f"{_PLACE.format(servers=shlex.quote(servers))} --add --allow-principal {shlex.quote(principal)} "
            f"{told} --{resource} {shlex.quote(name)}{pattern}"
        )


def strimzi_user(purpose: Purpose, rights: Collection[Right]) -> str:
    """A KafkaUser in YAML, a document of its own; its `authentication` and cluster are yours to choose.

    https://strimzi.io/docs/operators/latest/configuring.html#type-AclRule-reference
    """
    kinds = {Resource.TRANSACTIONAL_ID: "transactionalId"}
    lines = [
        "---",
        "apiVersion: kafka.strimzi.io/v1beta2",
        "kind: KafkaUser",
        "metadata:",
        f"  name: dropstream-{purpose}",
        "  labels:",
        "    strimzi.io/cluster: kafka  # The name of your Kafka resource.",
        "spec:",
        "  authentication:",
        "    type: scram-sha-512  # Or tls.",
        "  authorization:",
        "    type: simple",
        "    acls:",
    ]
    for (resource, name, is_prefix), operations in _by_thing(rights).items():
        lines += [
            "      - resource:",
            f"          type: {kinds.get(resource, resource)}",
            f'          name: "{name}"',
            f"          patternType: {'prefix' if is_prefix else 'literal'}",
            f"        operations: [{', '.join(sorted(operations))}]",
        ]
    return "\n".join(lines)


def _by_thing(rights: Collection[Right]) -> Mapping[tuple[Resource, str, bool], list[Operation]]:
    found: dict[tuple[Resource, str, bool], list[Operation]] = defaultdict(list)
    for one in rights:
        found[one.resource, one.name, one.is_prefix].append(one.operation)
    return found


def missing_sentence(missing: Collection[Right], kafka: KafkaSettings) -> str:
    """Which rights are missing, and under it what grants them; `missing` is not empty. The first few, if many."""
    principal = principal_of(kafka)
    things = _by_thing(missing)
    told = [
        f"{', '.join(sorted(operations))} on {resource} {name}{' and all that begin so' if is_prefix else ''}"
        for (resource, name, is_prefix), operations in things.items()
    ]
    lines = list(acl_lines(missing, principal, kafka.bootstrap_servers))
    if len(told) > _TOLD_MAX:
        told[_TOLD_MAX:] = [f"and {len(told) - _TOLD_MAX} things more"]
        lines[_TOLD_MAX:] = ["and so on: dropstream topics acls --format kafka-acls"]
    return f"Kafka does not grant {principal}: {'; '.join(told)}\n" + "\n".join(lines)
