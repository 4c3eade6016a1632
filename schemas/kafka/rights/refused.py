"""Why a cluster refuses a program: it does not let us in, or it does not grant a right; asked anew, on a connection."""

import asyncio
from collections.abc import Collection

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.kafka.arguments import client_arguments
from schemas.kafka.cancellation import stopped_within
from schemas.kafka.login.refusals import refusal_of
from schemas.kafka.rights.grants import missing_sentence
from schemas.kafka.rights.probe import missing_rights
from schemas.kafka.rights.table import Right
from schemas.sections.kafka import KafkaSettings

_WITHIN_MS = 5_000
# The ingress connects anew only after it has asked.
_WITHIN_S = 8.0
_CLOSE_S = 2.0


async def refused_because(kafka: KafkaSettings, rights: Collection[Right], *, first: Collection[str] = ()) -> str:
    """Why the cluster refuses a program that needs these rights; empty where it is merely away, or refuses nothing.

    Rights on the things `first` are named before others.
    """
    client = AIOKafkaClient(**client_arguments(kafka), request_timeout_ms=_WITHIN_MS)
    try:
        async with asyncio.timeout(_WITHIN_S):
            await client.bootstrap()
            missing = await missing_rights(client, rights)
    except KafkaConnectionError:
        return await refusal_of(kafka)
    except (KafkaError, TimeoutError, OSError):
        return ""
    finally:
        await stopped_within(_CLOSE_S, client.close())
    ordered = sorted(missing, key=lambda one: one.name not in first)
    return missing_sentence(ordered, kafka) if missing else ""
