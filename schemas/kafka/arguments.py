"""Keyword arguments of every kind of Kafka client, from the settings; in one place, so that no client is half safe."""

from typing import Any

from schemas.kafka.codecs import compression_type
from schemas.kafka.login.tls import TlsFiles, tls_context
from schemas.kafka.login.tokens import token_provider
from schemas.sections.kafka import KafkaSettings
from schemas.sections.programs import ProcessSettings
from schemas.settings import Settings
from schemas.topics import record_bytes_max

BATCH_BYTES = 262_144
# After the loss of a leader a position can be out of range for a moment, and a client that then begins at the start of
# the log reads everything twice. So no client moves by itself, and every reader seeks.
_OFFSET_RESET = "none"
_FETCH_WAIT_MS = 100
# While a fetch waits at a node for partitions in which nothing comes, aiokafka fetches nothing else from that node.
GROUP_FETCH_WAIT_MS = 50
# A broker refuses a batch whose transaction it checks while the group joins it (KIP-890), for milliseconds; aiokafka's
# own 100 were the longest wait of a transaction.
_TRANSACTION_RETRY_MS = 40
_ANSWER_SHARE = 32
_RESTORE_FETCH_BYTES = 16_777_216


def client_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """The arguments of every client: where the cluster is and how to log in. Reads the certificate files at first.

    Raises:
        OSError: a certificate or key cannot be used.
        ConfigurationError: there is no such provider of tokens here.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "security_protocol": kafka.security_protocol,
    }
    if "SSL" in kafka.security_protocol:
        arguments["ssl_context"] = tls_context(TlsFiles(kafka.ca_file, kafka.cert_file, kafka.key_file))
    if kafka.security_protocol.startswith("SASL"):
        arguments |= {"sasl_mechanism": kafka.sasl_mechanism, **_login(kafka)}
    return arguments


def _login(kafka: KafkaSettings) -> dict[str, Any]:
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return {"sasl_oauth_token_provider": token_provider(kafka)}
    password = kafka.password.value.decode() if kafka.password else None
    return {"sasl_plain_username": kafka.username, "sasl_plain_password": password}


def producer_arguments(settings: Settings) -> dict[str, Any]:
    """An idempotent producer whose acknowledgement means: on all in-sync replicas."""
    return {
        **client_arguments(settings.kafka),
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": compression_type(settings.ingest.compression),
        "max_batch_size": BATCH_BYTES,
        "max_request_size": record_bytes_max(settings),
    }


def transactional_producer_arguments(settings: Settings, *, transactional_id: str) -> dict[str, Any]:
    """A transactional producer; starting it fences every older one of the same id."""
    return {
        **producer_arguments(settings),
        "transactional_id": transactional_id,
        "compression_type": compression_type(settings.process.compression),
        # The topics' limits decide, and `processors.deliver.step` keeps within them; this one must not be smaller.
        "max_request_size": 2 * record_bytes_max(settings),
        "transaction_timeout_ms": settings.process.transaction_timeout_ms,
        "retry_backoff_ms": _TRANSACTION_RETRY_MS,
    }


def group_consumer_arguments(settings: Settings, *, group: str) -> dict[str, Any]:
    """A consumer that belongs to `group`, sees committed records only and commits nothing by itself."""
    process: ProcessSettings = settings.process
    return {
        **reader_arguments(settings),
        "group_id": group,
        "fetch_max_wait_ms": GROUP_FETCH_WAIT_MS,
        # One answer of a node is read as a whole. A first record that is larger comes all the same.
        "fetch_max_bytes": process.bytes_in_hand_max // _ANSWER_SHARE,
        # Static membership (KIP-345): leaving at the end would cause the rebalance that it is to spare.
        "group_instance_id": process.instance_id,
        "session_timeout_ms": process.session_timeout_ms,
        "heartbeat_interval_ms": process.session_timeout_ms // 3,
        # A member has this long to finish its round when the group rebalances.
        "rebalance_timeout_ms": 6 * process.session_timeout_ms,
    }


def restore_arguments(settings: Settings) -> dict[str, Any]:
    """A reader of changelogs: as `reader_arguments`, in fetches large enough for a quick restart."""
    return {**reader_arguments(settings), "max_partition_fetch_bytes": _RESTORE_FETCH_BYTES}


def reader_arguments(settings: Settings) -> dict[str, Any]:
    """A consumer that belongs to no group and sees committed records only."""
    return {
        **client_arguments(settings.kafka),
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": _OFFSET_RESET,
        "max_partition_fetch_bytes": max(1_048_576, record_bytes_max(settings)),
        "fetch_max_wait_ms": _FETCH_WAIT_MS,
        "check_crcs": settings.kafka.check_crcs,
    }
