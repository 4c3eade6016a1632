"""Which rights at Kafka a verb needs, and which of them it has not."""

from collections.abc import Mapping, Sequence

from ops.doctor.check_result import CheckResult
from ops.event_loop import run
from ops.kafka.offsets import open_client
from schemas.errors import AccessRefusedError, DropstreamError
from schemas.kafka.login.principal import principal_of
from schemas.kafka.rights.grants import missing_sentence
from schemas.kafka.rights.probe import missing_rights
from schemas.kafka.rights.refused import refused_because
from schemas.kafka.rights.table import Purpose, Right, rights_of
from schemas.settings import Settings

PURPOSE_OF_VERB: Mapping[str, Purpose] = {
    "acts": Purpose.INSPECT,
    "audit": Purpose.AUDIT,
    "console": Purpose.CONSOLE,
    "doctor": Purpose.DOCTOR,
    "explain": Purpose.INSPECT,
    "gaps": Purpose.INSPECT,
    "offsets": Purpose.OFFSETS,
    "process": Purpose.PROCESS,
    "reconcile": Purpose.RECONCILE,
    "redrive": Purpose.REPLAY,
    "replay": Purpose.REPLAY,
    "send": Purpose.INSPECT,
    "tail": Purpose.INSPECT,
    "topics": Purpose.TOPICS,
    "trace": Purpose.INSPECT,
}


def explained(error: AccessRefusedError, verb: str) -> str:
    """The sentence that names the rights which `verb` has not, with what grants them; else that of the error."""
    purpose = PURPOSE_OF_VERB.get(verb)
    if purpose is None:
        return str(error)
    needed = rights_of(purpose, error.kafka.topic_prefix)
    return run(refused_because(error.kafka, needed, first=error.names)) or str(error)


async def examine_rights(settings: Settings) -> Sequence[CheckResult]:
    """For each program whether the user of this configuration has its rights; nothing where Kafka cannot be asked."""
    kafka = settings.kafka
    try:
        async with open_client(settings) as client:
            missing = {one: await missing_rights(client, rights_of(one, kafka.topic_prefix)) for one in Purpose}
    except (DropstreamError, TimeoutError):
        return ()  # Kafka's own line says why.
    if not any(missing.values()):
        return (CheckResult("ok", "rights", f"those of every program, as {principal_of(kafka)}"),)
    return [_judged(purpose, lacking, settings) for purpose, lacking in missing.items()]


def _judged(purpose: Purpose, missing: Sequence[Right], settings: Settings) -> CheckResult:
    subject = f"rights {purpose}"
    if not missing:
        return CheckResult("ok", subject, f"all that it needs, as {principal_of(settings.kafka)}")
    sentence = missing_sentence(missing, settings.kafka).replace("\n", "; ")
    return CheckResult("warning", subject, f"{sentence}; right where another user is for it")
