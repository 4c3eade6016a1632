"""What Kafka refuses is named: the login, the certificate, each right, and what grants it."""

import asyncio
import signal

import pytest
from aiokafka.client import AIOKafkaClient

from ops.kafka.topics import apply
from schemas.kafka.arguments import client_arguments
from schemas.kafka.rights.probe import missing_rights
from schemas.kafka.rights.table import Operation, Purpose, Resource, Right, rights_of
from tests.support.ports import free_ports
from tests.support.processing import deliveries
from tests.support.programs import program, send_all
from tests.support.security.system import SecuredSystem
from tests.support.security.tokens import token_server
from tests.support.waiting import until_it_is


async def prepared(system: SecuredSystem, purpose: Purpose) -> list[Right]:
    """The topics are made, and a user of that purpose has its rights."""
    system.login_as_super("super")
    await apply(system.settings("super"))
    system.login_by_password(user := f"{system.prefix}{purpose}")
    rights = list(rights_of(purpose, system.prefix))
    system.kafka.grant(f"User:{user}", rights)
    return rights


def takes(right: Right) -> bool:
    """Whether Kafka can be asked for it: of topics that are not there yet nothing is known."""
    return not (right.resource is Resource.TOPIC and right.is_prefix)


@pytest.mark.parametrize("purpose", [Purpose.INGEST, Purpose.PROCESS])
async def test_each_right_that_is_taken_away_is_named(system: SecuredSystem, purpose: Purpose) -> None:
    """Of all rights of a program the one that is missing is found, and no other."""
    rights = await prepared(system, purpose)
    user = f"{system.prefix}{purpose}"
    client = AIOKafkaClient(**client_arguments(system.settings(user).kafka))
    await client.bootstrap()

    async def is_missing(wanted: tuple[Right, ...]) -> bool:
        return await missing_rights(client, rights) == wanted

    try:
        await until_it_is(lambda: is_missing(()))
        for one in filter(takes, rights):
            system.kafka.revoke(f"User:{user}", one)
            await until_it_is(lambda one=one: is_missing((one,)))  # type: ignore[misc] # its own `one`
            system.kafka.grant(f"User:{user}", [one])
        await until_it_is(lambda: is_missing(()))
    finally:
        await client.close()


async def test_processors_without_a_right_end_and_name_it(system: SecuredSystem) -> None:
    """The topic is there: it is never called missing, and the line that grants the right stands in the error."""
    await prepared(system, Purpose.PROCESS)
    user = f"{system.prefix}process"
    system.kafka.revoke(f"User:{user}", Right(Resource.TOPIC, f"{system.prefix}raw", Operation.READ))
    code, said = await system.verb(user, "process", "deliver")
    assert code == 1
    assert f"group deliver: Kafka does not grant User:{user}: Read on topic {system.prefix}raw\\n" in said
    granting = f"--add --allow-principal User:{user} --operation Read --topic {system.prefix}raw"
    assert granting in said
    assert "there is no topic" not in said


async def test_an_ingress_without_a_right_spools_and_names_it(system: SecuredSystem) -> None:
    """Deliveries are answered meanwhile; once the right is there, they reach Kafka without a restart."""
    await prepared(system, Purpose.INGEST)
    user, port = f"{system.prefix}ingest", system.ports
    written = Right(Resource.TOPIC, f"{system.prefix}raw", Operation.WRITE)
    system.kafka.revoke(f"User:{user}", written)
    async with program(system.folder, "ingest", admin_port=port + 1, environ=system.logins[user]) as ingest:
        first, *_ = await ingest.said("kafka_unreachable")
        assert first["why"].startswith(f"Kafka does not grant User:{user}: Write on topic {system.prefix}raw\n")
        await send_all(f"http://127.0.0.1:{port}", deliveries(3))
        system.kafka.grant(f"User:{user}", [written])
        await ingest.said("kafka_connected")
        await ingest.shows("dropstream_ingest_spool_deliveries 0.0")
        ingest.signal(signal.SIGTERM)
        assert await ingest.ended() == 0


async def test_verbs_name_what_their_user_has_not(system: SecuredSystem) -> None:
    """A verb ends with the right that it needs; the doctor says for which programs its user is not enough."""
    await prepared(system, Purpose.INGEST)
    user = f"{system.prefix}ingest"
    code, said = await system.verb(user, "tail", "orders", "--from", "beginning", "--max", "1")
    assert code == 1
    assert f"Kafka does not grant User:{user}: " in said
    assert f"--operation Read --topic {system.prefix}orders" in said
    _, said = await system.verb(user, "doctor")
    lines = dict(line.split("\t", 1) for line in said.splitlines() if line.startswith("rights"))
    assert lines["rights ingest"] == f"ok\tall that it needs, as User:{user}"
    assert lines["rights process"].startswith(f"warning\tKafka does not grant User:{user}: Read on group")


async def test_why_a_login_is_refused_is_told(system: SecuredSystem) -> None:
    """A wrong password, a missing certificate, a strange authority and a refused token are told from each other."""
    system.login_by_password("somebody")
    system.login_by_certificate("with-certificate")
    login, mutual = system.logins["somebody"], system.logins["with-certificate"]
    without = {key: value for key, value in mutual.items() if not key.endswith(("CERT_FILE", "KEY_FILE"))}
    async with token_server(free_ports(1)) as tokens:
        system.login_by_token("token", tokens.url)
        with_token = system.logins["token"]
        wrong = {
            "refuses the login of User:somebody: Authentication failed": {**login, "KAFKA_PASSWORD": "wrong"},
            "does it ask for a certificate (kafka.cert_file)?": without,
            "is not trusted: ": {**login, "DROPSTREAM_KAFKA__CA_FILE": mutual["DROPSTREAM_KAFKA__CERT_FILE"]},
            "it answers 401, invalid_client": {**with_token, "CLIENT_SECRET": "wrong"},
        }
        for number, environ in enumerate(wrong.values()):
            system.logins[f"wrong-{number}"] = environ
        said = await asyncio.gather(*(system.verb(f"wrong-{number}", "topics", "plan") for number in range(len(wrong))))
    for expected, (code, text) in zip(wrong, said, strict=True):
        assert code == 1, text
        assert expected in text, text
        assert "made-up" not in text


async def test_certificates_are_renewed_while_a_program_runs(system: SecuredSystem) -> None:
    """A new connection shows the certificate that lies in the file then, and the ingress goes on under its name."""
    system.login_as_super("super")
    await apply(system.settings("super"))
    system.login_by_certificate("before")
    port, rights = system.ports, rights_of(Purpose.INGEST, system.prefix)
    after = system.kafka.authority.sign("after")
    for name in ("before", "after"):
        system.kafka.grant(f"User:CN={name}", rights)
    async with program(system.folder, "ingest", admin_port=port + 1, environ=system.logins["before"]) as ingest:
        await ingest.said("kafka_connected")
        for key, file in (("CERT_FILE", after.certificate), ("KEY_FILE", after.key)):
            file.replace(system.logins["before"][f"DROPSTREAM_KAFKA__{key}"])
        # What is refused makes the ingress connect anew.
        system.kafka.revoke("User:CN=before", Right(Resource.TOPIC, f"{system.prefix}raw", Operation.WRITE))
        await until_it_is(lambda: sends_as_after(system))
        assert len(ingest.lines("certificates_renewed")) == 1
        ingest.signal(signal.SIGTERM)
        assert await ingest.ended() == 0


async def sends_as_after(system: SecuredSystem) -> bool:
    """Sends a delivery; whether one was written under the new certificate."""
    await send_all(f"http://127.0.0.1:{system.ports}", deliveries(1))
    return ("WRITE", "topic", f"{system.prefix}raw") in system.kafka.used_rights("User:CN=after")[0]
