"""A set of numbers, for millions of them."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Bits:
    """A set of small numbers, a bit each."""

    _bits: bytearray = field(default_factory=bytearray)

    def add(self, number: int) -> None:
        """Takes in a number of 0 or more."""
        index, bit = divmod(number, 8)
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1_024 - len(self._bits)))
        self._bits[index] |= 1 << bit

    def __contains__(self, number: int) -> bool:
        index, bit = divmod(number, 8)
        return 0 <= index < len(self._bits) and bool(self._bits[index] & 1 << bit)
