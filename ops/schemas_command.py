"""`dropstream schemas`: the shapes of what is written, for the teams that read it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ops.context import verb_group
from ops.screen import say
from schemas.errors import DropstreamError
from schemas.json_schema import schemas

app = verb_group("The JSON Schemas of everything that is written.")


@app.command("export")
def export(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it is missing.")]) -> None:
    """Writes every JSON Schema to DIR. Example: dropstream schemas export ./schemas"""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, schema in schemas().items():
            text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
            (folder / name).write_text(text, encoding="utf-8")
            say(str(folder / name))
    except OSError as error:
        raise DropstreamError(f"cannot write to {folder}: {error.strerror or error}") from error
