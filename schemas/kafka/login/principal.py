"""As whom Kafka knows us, as far as that can be known here: a broker may map names, and tells nobody."""

from schemas.sections.kafka import KafkaSettings


def principal_of(kafka: KafkaSettings) -> str:
    """The principal in Kafka's words, such as `User:dropstream`; in angle brackets what only the broker knows."""
    if kafka.security_protocol.startswith("SASL"):
        return "User:<sub of the token>" if kafka.sasl_mechanism == "OAUTHBEARER" else f"User:{kafka.username}"
    if kafka.security_protocol == "SSL" and kafka.cert_file:
        return "User:<subject of kafka.cert_file>"
    return "User:ANONYMOUS"
