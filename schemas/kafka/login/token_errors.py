"""What goes wrong where tokens are made; no sentence here repeats a token, a secret or an answer."""

from aiokafka.errors import KafkaError


class TokenError(KafkaError):  # type: ignore[misc] # aiokafka ships no types
    """There is no token now; `retriable`, for whoever makes tokens may be away for a moment."""

    retriable = True


class TokenRefusedError(Exception):
    """The server gives no token; the sentence repeats nothing of what was sent, and of the answer a known word."""
