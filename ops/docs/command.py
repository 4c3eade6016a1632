"""`dropstream schemas`: writes the schemas of the topics for the teams that read them."""

from pathlib import Path
from typing import Annotated

import typer

from ops.docs.export import PAGE, exported
from ops.screen import say
from ops.verbs import verb_group
from schemas.errors import DropstreamError

app = verb_group("The JSON Schemas and the AsyncAPI document of everything that is written.")


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it is missing.")],
    *,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Where the page for people goes; DIR/{PAGE} if not said.")
    ] = None,
) -> None:
    """Writes the JSON Schemas, the AsyncAPI document and a page for people.

    Example: dropstream schemas export ./schemas
    """
    for name, text in exported().items():
        file = page if page is not None and name == PAGE else folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DropstreamError(f"cannot write {file}: {error.strerror or error}") from error
        say(str(file))
