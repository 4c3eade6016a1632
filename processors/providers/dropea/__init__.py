"""Dropea: two contracts behind one name, told apart by their headers and by the shape of their bodies.

Version 1 (https://support.dropea.com/portal/en/kb/articles/user-guide-webhooks) is flat, in Madrid wall time, perhaps
unsigned. Version 2 (https://public-api.dropea.com/dropshipper/openapi.json) holds whole objects, in UTC, per market.
Each has a file with its body, its table and its functions; here is what tells them apart, and the provider.
"""

from processors.deliver.fields import text
from processors.deliver.personal import PersonalFields
from processors.deliver.provider import Interpretation, Message, Provider, Sample, Setup
from processors.deliver.signatures import Claim
from processors.providers.dropea.v1 import (
    V1_TOPICS,
    claim_v1,
    interpret_v1,
    sample_incident_v1,
    sample_order_v1,
    sign_v1,
)
from processors.providers.dropea.v2 import (
    V2_TOPICS,
    claim_v2,
    interpret_fetched,
    interpret_v2,
    sample_issue_v2,
    sample_order_v2,
    sign_v2,
)
from schemas.delivery import Delivery
from schemas.notes.rejections import Reason, Rejection
from schemas.retry_policy import Loss, RetryPolicy
from schemas.sections.endpoints import EndpointSettings
from schemas.vocabulary import Domain

_V2_HEADERS = frozenset({"x-dropea-signature", "x-dropea-event-id", "x-dropea-topic"})
_V2_FIELDS = ("event_id", "event_at", "resource_id")


def _claim(delivery: Delivery, _endpoint: EndpointSettings) -> Claim | Rejection | None:
    """The signature, in the way of the version whose headers the delivery has."""
    if _V2_HEADERS.isdisjoint([name for name, _ in delivery.headers]):
        return claim_v1(delivery)
    return claim_v2(delivery)


def _interpret(message: Message) -> Interpretation | Rejection:
    """What the body means, by its topic; by its shape where neither version has the topic."""
    topic = text(message.body.get("topic"))
    if topic is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "the body has no topic")
    is_v2 = topic in V2_TOPICS or (topic not in V1_TOPICS and any(name in message.body for name in _V2_FIELDS))
    return interpret_v2(topic, message) if is_v2 else interpret_v1(topic, message)


# The vendor writes English, and now and then the languages of its markets: Spanish, Portuguese, Italian.
_WORDS = (
    "direccion domicilio endereco morada indirizzo calle rua ciudad cidade citta provincia distrito codigo_postal",
    "cep cap",
    "cliente destinatario comprador apellido apellidos apelido sobrenome cognome",
    "nombre_cliente nombre_completo nome_cliente nome_completo",
    "telefono telefone telemovel movil celular cellulare correo correo_electronico",
    "observaciones observacoes notas comentario comentarios",
)
_OWN_FIELDS = ("resource.shipping_address", *" ".join(_WORDS).split())
_PERSONAL = PersonalFields({Domain.ORDER: _OWN_FIELDS, Domain.INCIDENT: _OWN_FIELDS})

PROVIDER = Provider(
    name="dropea",
    signature_policy="verify-if-present",
    claim=_claim,
    interpret=_interpret,
    interpret_fetched=interpret_fetched,
    # v2: three consecutive failures switch a subscription off; an answer within 5 s. v1 says nothing of either, and is
    # held to the same: https://public-api.dropea.com/dropshipper/openapi.json
    patience=RetryPolicy(
        loss=Loss.SUBSCRIPTION,
        source="https://public-api.dropea.com/dropshipper/openapi.json",
        failures_max=3,
        answer_within_s=5,
    ),
    samples=(
        Sample("dropea-v1-order", "Dropea v1", sample_order_v1, sign_v1, ("dropstream.order.status_changed",)),
        Sample("dropea-v1-incident", "Dropea v1", sample_incident_v1, sign_v1, ("dropstream.incident.status_changed",)),
        Sample("dropea-v2-order", "Dropea v2", sample_order_v2, sign_v2, ("dropstream.order.created",)),
        Sample("dropea-v2-issue", "Dropea v2", sample_issue_v2, sign_v2, ("dropstream.incident.created",)),
    ),
    personal=_PERSONAL,
    # Version 1: https://support.dropea.com/portal/en/kb/articles/user-guide-webhooks. Version 2 shows its secret once,
    # with the key: https://public-api.dropea.com/dropshipper/openapi.json
    setup=Setup(
        page="My Account > Access Token, for orders and for incidents",
        signed_with="the API key (version 1) or its signing secret (version 2)",
    ),
)
