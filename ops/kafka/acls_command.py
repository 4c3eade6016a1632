"""`dropstream topics acls`: the rights of each program, from one table in code, as an administrator grants them."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from schemas.errors import UsageError
from schemas.kafka.login.principal import principal_of
from schemas.kafka.rights.grants import acl_lines, strimzi_user
from schemas.kafka.rights.table import Purpose, Right, rights_of, sentence_of
from schemas.settings import Settings


class AclFormat(StrEnum):
    """How rights are written down."""

    TABLE = "table"
    KAFKA_ACLS = "kafka-acls"
    STRIMZI = "strimzi"


def show_acls(
    purposes: Annotated[
        list[Purpose] | None, typer.Argument(metavar="[FOR]...", help="What the user is for; default: all.")
    ] = None,
    form: Annotated[AclFormat, typer.Option("--format", help="A table, calls of kafka-acls, or KafkaUsers.")] = (
        AclFormat.TABLE
    ),
    principal: Annotated[
        str | None,
        typer.Option("--principal", metavar="P", help="Who gets them; default: the login of the configuration."),
    ] = None,
    *,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Shows the smallest set of rights at Kafka of each program, with the names of this configuration.

    Example: dropstream topics acls ingest --format kafka-acls --principal User:dropstream-ingest
    """
    if principal is not None and form is not AclFormat.KAFKA_ACLS:
        raise UsageError("--principal is for --format kafka-acls alone: the others name nobody")
    if (as_json or header) and form is not AclFormat.TABLE:
        raise UsageError(f"--json and --header are for the table; {form} has a form of its own")
    settings = load_settings(config, signing_secrets=False)
    wanted = tuple(dict.fromkeys(purposes or Purpose))
    if form is AclFormat.KAFKA_ACLS:
        for line in _lines(wanted, settings, principal or principal_of(settings.kafka)):
            screen.write_line(line)
    elif form is AclFormat.STRIMZI:
        for purpose in wanted:
            screen.write_line(strimzi_user(purpose, _rights(purpose, settings)))
    else:
        screen.show_table(
            ("for", "resource", "name", "pattern", "operation"),
            (
                (purpose, one.resource, one.name, "prefix" if one.is_prefix else "literal", one.operation)
                for purpose in wanted
                for one in _rights(purpose, settings)
            ),
            as_json=as_json,
            header=header,
        )


def _rights(purpose: Purpose, settings: Settings) -> Sequence[Right]:
    return rights_of(purpose, settings.kafka.topic_prefix)


def _lines(purposes: Sequence[Purpose], settings: Settings, principal: str) -> Iterator[str]:
    for purpose in purposes:
        yield f"# {purpose}: {sentence_of(purpose)}"
        yield from acl_lines(_rights(purpose, settings), principal, settings.kafka.bootstrap_servers)
