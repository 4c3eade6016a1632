"""The errors a person reads: what is wrong, where, what to do.

What a stranger sends is never an error here: that is a rejection, a value that travels (`schemas.notes.rejections`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.sections.kafka import KafkaSettings


class DropstreamError(Exception):
    """The operation failed; the text is one or two lines for a person. The command line ends with 1."""


class AccessRefusedError(DropstreamError):
    """Kafka does not grant a right on the things `names`; which right, is to be asked with the settings `kafka`."""

    def __init__(self, sentence: str, kafka: "KafkaSettings", names: tuple[str, ...]) -> None:
        self.kafka = kafka
        self.names = names
        super().__init__(sentence)


class UsageError(DropstreamError):
    """What was asked for cannot be meant; the text is one or two lines for a person. The command line ends with 2."""


class ConfigurationError(DropstreamError):
    """The configuration cannot be used; `faults` names every fault, one line each. The command line ends with 2."""

    def __init__(self, source: str, faults: tuple[str, ...]) -> None:
        self.source = source
        self.faults = faults
        count = f"{len(faults)} fault" + ("s" if len(faults) != 1 else "")
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  {fault}" for fault in faults))
