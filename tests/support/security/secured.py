"""One Apache Kafka as production has it: TLS, mutual TLS, three kinds of login, and an authorizer that allows nothing.

`plain` is the listener of the broker itself; who comes there is the super user, and gives rights to others.
"""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.data import check_folder, plan_cluster
from ops.local.broker.runtime import Runtime
from schemas.kafka.rights.table import Resource, Right
from tests.support.ports import free_ports
from tests.support.security.certificates import Authority, make_authority

LISTENERS = ("tls", "mutual", "login")
PASSWORD = "made-up-password"
_AUTHORIZER_LOG = "kafka.authorizer.logger"
_ANSWER_S = 30
_JUDGED = re.compile(
    r"Principal = (?P<principal>\S+) is (?P<verdict>Allowed|Denied) operation = (?P<operation>\w+) "
    r"from host = \S+ on resource = (?P<kind>\w+):LITERAL:(?P<name>\S+) "
)


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """The cluster, its addresses, and the authority that signed its certificate."""

    cluster: BrokerCluster
    plain: str
    tls: str
    mutual: str
    login: str
    authority: Authority
    admin: AdminClient

    def add_user(self, name: str) -> None:
        """A user of SCRAM-SHA-512 with `PASSWORD`."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        made = UserScramCredentialUpsertion(name, info, PASSWORD.encode())
        for answer in self.admin.alter_user_scram_credentials([made]).values():
            answer.result(_ANSWER_S)

    def grant(self, principal: str, rights: Iterable[Right]) -> None:
        """Gives the rights; they count on return."""
        bindings = [_binding(one, principal) for one in rights]
        for answer in self.admin.create_acls(bindings).values() if bindings else ():
            answer.result(_ANSWER_S)

    def revoke(self, principal: str, right: Right) -> None:
        """Takes this one right away."""
        one = _binding(right, principal)
        wanted = AclBindingFilter(
            *(one.restype, one.name, one.resource_pattern_type, one.principal, one.host),
            *(one.operation, one.permission_type),
        )
        for answer in self.admin.delete_acls([wanted]).values():
            answer.result(_ANSWER_S)

    def used_rights(self, principal: str) -> tuple[set[tuple[str, str, str]], list[str]]:
        """What the authorizer allowed as operation, kind and name of the resource; and each line of what it denied."""
        allowed, denied = set(), []
        for line in self.authorizer_log().splitlines():
            found = _JUDGED.search(line)
            if found is None or found["principal"] != principal:
                continue
            if found["verdict"] == "Denied":
                denied.append(line)
            allowed.add((found["operation"].replace("_", ""), found["kind"].lower(), found["name"]))
        return allowed, denied

    def authorizer_log(self) -> str:
        """What the authorizer has said of each request, in its files, of which a full one is put aside."""
        log = self.cluster.nodes[0].log
        return "".join(one.read_text() for one in sorted(log.parent.glob(f"{log.name}*"), reverse=True))


def _binding(right: Right, principal: str) -> AclBinding:
    kinds = {Resource.TOPIC: "TOPIC", Resource.GROUP: "GROUP", Resource.TRANSACTIONAL_ID: "TRANSACTIONAL_ID"}
    words = {"DescribeConfigs": "DESCRIBE_CONFIGS", "AlterConfigs": "ALTER_CONFIGS"}
    return AclBinding(
        ResourceType[kinds[right.resource]],
        right.name,
        ResourcePatternType.PREFIXED if right.is_prefix else ResourcePatternType.LITERAL,
        principal,
        "*",
        AclOperation[words.get(right.operation, right.operation.upper())],
        AclPermissionType.ALLOW,
    )


def _settings(authority: Authority, ports: dict[str, int]) -> dict[str, str]:
    broker = authority.sign("broker")
    protocols = {"CLIENTS": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", "TLS": "SSL", "MUTUAL": "SSL", "LOGIN": "SASL_SSL"}
    settings = {
        "listeners": ",".join(f"{name.upper()}://127.0.0.1:{port}" for name, port in ports.items()),
        "advertised.listeners": ",".join(
            f"{name.upper()}://127.0.0.1:{port}" for name, port in ports.items() if name != "controller"
        ),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(broker.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.login.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    security = "org.apache.kafka.common.security"
    modules = {
        "scram-sha-512": f"{security}.scram.ScramLoginModule required;",
        "plain": f'{security}.plain.PlainLoginModule required user_topics="{PASSWORD}";',
        # Kafka's own handler of tokens without a signature, which is there for tests.
        "oauthbearer": f"{security}.oauthbearer.OAuthBearerLoginModule required "
        'unsecuredLoginStringClaim_sub="broker";',
    }
    return settings | {
        f"listener.name.login.{mechanism}.sasl.jaas.config": module for mechanism, module in modules.items()
    }


@asynccontextmanager
async def secured_kafka(folder: Path, runtime: Runtime) -> AsyncIterator[SecuredKafka]:
    """A started cluster of one node; it has ended after the block."""
    authority = make_authority(folder / "certificates")
    first = free_ports(2 + len(LISTENERS))
    names = ("clients", "controller", *LISTENERS)
    ports = {name: first + number for number, name in enumerate(names)}
    plan = plan_cluster(check_folder(folder / "broker"), nodes=1, port=first, bind_host=runtime.bind_host)
    plan = replace(plan, more=_settings(authority, ports), log_levels={_AUTHORIZER_LOG: "debug"})
    cluster = BrokerCluster(plan, runtime=runtime)
    await cluster.start(lambda _step: None)
    try:
        addresses = {name: f"127.0.0.1:{ports[name]}" for name in LISTENERS}
        admin = AdminClient({"bootstrap.servers": plan.bootstrap_servers})
        yield SecuredKafka(cluster, plan.bootstrap_servers, authority=authority, admin=admin, **addresses)
    finally:
        await cluster.kill()
