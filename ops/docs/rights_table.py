"""The table of rights at Kafka in `docs/operate.md`, from the table in code.

python -m ops.docs.rights_table docs/operate.md
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from schemas.kafka.rights.table import Operation, Purpose, Resource, Right, rights_of, sentence_of

_BEGIN = "| for | which verbs | topics | groups | transactional ids |\n| --- | --- | --- | --- | --- |\n"


def rights_table() -> str:
    """The rows of all purposes, names without the prefix; a `*` behind a name: a prefixed right."""
    return _BEGIN + "".join(f"{_row(one)}\n" for one in Purpose)


def _row(purpose: Purpose) -> str:
    rights = rights_of(purpose, "")
    cells = ("<br>".join(_told(one for one in rights if one.resource is kind)) for kind in Resource)
    return f"| `{purpose}` | {sentence_of(purpose)} | {' | '.join(cells)} |"


def _told(rights: Iterator[Right]) -> Iterator[str]:
    """One line for each operation, with the names for which it is granted."""
    names: dict[Operation, list[str]] = defaultdict(list)
    for one in rights:
        names[one.operation].append(f"`{one.name}{'*' if one.is_prefix else ''}`")
    for operation in sorted(names):
        yield f"{operation}: {', '.join(sorted(names[operation]))}"


def with_table(page: str) -> str:
    """The page with the table of today in the place of the one that it has."""
    before, _, rest = page.partition(_BEGIN)
    lines = rest.splitlines(keepends=True)
    after = next((number for number, line in enumerate(lines) if not line.startswith("| `")), len(lines))
    return before + rights_table() + "".join(lines[after:])


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_table(file.read_text(encoding="utf-8")), encoding="utf-8")
