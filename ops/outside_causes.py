"""Tells what the disk, the network or Kafka did from a fault of this program, for the last place that sees an error."""

from schemas.errors import DropstreamError


def outside_cause(error: BaseException) -> str | None:
    """A sentence about what the disk, the network or Kafka refused; None where the program itself is at fault.

    Most of it is told where it happens, with what to do. This is for the rest.
    """
    if isinstance(error, BaseExceptionGroup):
        found = [outside_cause(one) for one in error.exceptions]
        return None if None in found else found[0]
    if isinstance(error, DropstreamError):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or str(error) or type(error).__name__}"
    # Not imported: a verb that does not speak to Kafka does not load its library.
    if any(one.__module__ == "aiokafka.errors" and one.__name__ == "KafkaError" for one in type(error).__mro__):
        return (
            f"Kafka: {type(error).__name__}{f', {error}' if str(error) else ''}; dropstream doctor looks at the cluster"
        )
    return None
