"""Why a cluster cannot be reached: aiokafka tries every server and says no more than that none would have it."""

import asyncio
import ssl
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from schemas.kafka.arguments import client_arguments
from schemas.kafka.login.principal import principal_of
from schemas.kafka.login.token_errors import TokenError
from schemas.sections.kafka import KafkaSettings

_WITHIN_MS = 5_000


async def refusal_of(kafka: KafkaSettings) -> str:
    """Why the first server that answers refuses us; empty where none answers within 5 s, or one lets us in."""
    try:
        async with asyncio.timeout(_WITHIN_MS / 1000):
            return await _first_refusal(kafka)
    except TimeoutError:
        return ""


async def _first_refusal(kafka: KafkaSettings) -> str:
    arguments = client_arguments(kafka)
    arguments.pop("bootstrap_servers")
    for host, port, _family in collect_hosts(kafka.bootstrap_servers):
        try:
            connection = await create_conn(host, port, request_timeout_ms=_WITHIN_MS, **arguments)
        except (KafkaError, OSError) as error:
            if sentence := _sentence(error, f"{host}:{port}", kafka):
                return sentence
        else:
            connection.close()
            return ""
    return ""


def _sentence(error: BaseException, server: str, kafka: KafkaSettings) -> str:
    """What a person can do about it; empty where the server is merely away."""
    if isinstance(error, TokenError):
        return str(error.args[0])
    if isinstance(error, (SaslAuthenticationFailed, IllegalSaslStateError)):
        return f"Kafka at {server} refuses the login of {principal_of(kafka)}: {_said(error)}"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"Kafka at {server} does not take kafka.sasl_mechanism = {kafka.sasl_mechanism}: {_said(error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of Kafka at {server} is not trusted: {error.verify_message}; "
            "kafka.ca_file names those who sign it, and bootstrap_servers the name that stands in it"
        )
    if isinstance(error, (ssl.SSLError, ConnectionResetError)) or (
        isinstance(error, KafkaConnectionError) and "closed" in str(error)
    ):
        return (
            f"Kafka at {server} ends the connection before the login; is its listener one for "
            f"kafka.security_protocol = {kafka.security_protocol}{_certificate_hint(kafka)}?"
        )
    return ""


def _certificate_hint(kafka: KafkaSettings) -> str:
    if "SSL" not in kafka.security_protocol:
        return ""
    if kafka.cert_file is None:
        return ", and does it ask for a certificate (kafka.cert_file)"
    return ", and does it trust the certificate of kafka.cert_file"


def _said(error: Any) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
