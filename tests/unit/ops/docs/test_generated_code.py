"""Code that others make of the schemas reads what is written today, and the words that come tomorrow."""

import json
import subprocess
import sys
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ops.docs.json_schema import schemas
from tests.support.checkout import ROOT
from tests.support.tools import tool

NAMES = sorted(schemas())
# A field of each set of words that may grow, by the schema that has it.
GROWING = {
    "order-event.v1.json": ("data", "status"),
    "incident-event.v1.json": ("data", "status"),
    "other-event.v1.json": ("signature",),
    "gap.v1.json": ("state",),
}


def generated(name: str, folder: Path) -> type[BaseModel]:
    """The class that datamodel-code-generator makes of a schema on file."""
    made = folder / "made.py"
    options = (
        "--input-file-type",
        "jsonschema",
        "--output-model-type",
        "pydantic_v2.BaseModel",
        "--formatters",
        "builtin",
    )
    subprocess.run(
        [tool("datamodel-codegen"), *options, "--input", ROOT / "schemas" / "json" / name, "--output", made],
        check=True,
        capture_output=True,
    )
    spec = spec_from_file_location(f"made_of_{name.partition('.')[0].replace('-', '_')}", made)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: type[BaseModel] = getattr(module, schemas()[name]["title"])
    return found


def with_value(value: dict[str, Any], path: tuple[str, ...], word: object) -> dict[str, Any]:
    """`value` with another word at `path`."""
    first, *rest = path
    return {**value, first: with_value(value[first], tuple(rest), word) if rest else word}


@pytest.mark.parametrize("name", NAMES)
def test_generated_code_reads_what_is_written(name: str, tmp_path: Path) -> None:
    """Every real record is read whole, its times as times; an unknown word is read where words may come."""
    made = generated(name, tmp_path)
    examples = json.loads((ROOT / "schemas" / "json" / name).read_text(encoding="utf-8"))["examples"]
    for example in examples:
        read = made.model_validate(example)
        times = [getattr(read, field) for field in ("time", "recordedtime", "changed_at") if hasattr(read, field)]
        assert times
        assert all(isinstance(one, datetime) and one.tzinfo for one in times)
        if name in GROWING:
            made.model_validate(with_value(example, GROWING[name], "a-word-of-tomorrow"))
            with pytest.raises(ValidationError):
                made.model_validate(with_value(example, GROWING[name], 7))
