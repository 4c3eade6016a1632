"""How a message is declared: `@message(frozen=True, slots=True)` is a dataclass that only the type checker freezes.

The interpreter freezes a dataclass by assigning each field through `object.__setattr__`, five times as dear as a plain
assignment; of what one delivery costs, that was a quarter. mypy refuses the assignments in all code and every test.
"""

import dataclasses
from typing import TYPE_CHECKING

__all__ = ["message"]

if TYPE_CHECKING:
    from dataclasses import dataclass as message
else:

    def message(*, frozen, slots, kw_only=False):
        """The dataclass, equal and hashed by its fields."""
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen, kw_only=kw_only)
