"""Code that others make of the schemas reads what is written today, and the words that come tomorrow."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ops.docs.json_schema import schemas
from tests.support.checkout import ROOT
from tests.support.skipped import missing
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
        times = [getattr(read, field) for field in ("time", "recordedtime", "changed_at", "at") if hasattr(read, field)]
        assert times
        assert all(isinstance(one, datetime) and one.tzinfo for one in times)
        if name in GROWING:
            made.model_validate(with_value(example, GROWING[name], "a-word-of-tomorrow"))
            with pytest.raises(ValidationError):
                made.model_validate(with_value(example, GROWING[name], 7))


# What a program of each language prints of the lines that it is given: whether the generated reader took each.
READERS = {
    "javascript": (
        "made.js",
        "read.js",
        """
const { toMade } = require("./made.js");
for (const line of require("fs").readFileSync(0, "utf8").trimEnd().split("\\n")) {
  try { toMade(line); console.log("read"); } catch { console.log("refused"); }
}
""",
        ("node", "read.js"),
    ),
    "go": (
        "made.go",
        "read.go",
        """
package main

import ("bufio"; "fmt"; "os")

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if _, err := UnmarshalMade(lines.Bytes()); err != nil { fmt.Println("refused") } else { fmt.Println("read") }
	}
}
""",
        ("go", "run", "made.go", "read.go"),
    ),
}


@pytest.mark.parametrize("language", READERS)
@pytest.mark.parametrize("name", ["gap.v1.json", "order-event.v1.json"])
def test_quicktype_s_code_reads_what_is_written(name: str, language: str, tmp_path: Path) -> None:
    """So do programs in JavaScript and Go: records of today, words and fields of tomorrow, and no wrong type."""
    made, program, text, command = READERS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(missing(f"{command[0]} is not here", bring=f"PATH=FOLDER-OF-{command[0].upper()}:$PATH make test"))
    schema = ROOT / "schemas" / "json" / name
    options = ("--src-lang", "schema", "--lang", language, "--top-level", "Made", "--out", str(tmp_path / made))
    package = ("--package", "main") if language == "go" else ()
    subprocess.run([tool("quicktype"), *options, *package, schema], check=True, capture_output=True)
    (tmp_path / program).write_text(text, encoding="utf-8")
    examples: list[Mapping[str, Any]] = json.loads(schema.read_text(encoding="utf-8"))["examples"]
    word = [with_value(dict(one), GROWING[name], "a-word-of-tomorrow") for one in examples]
    grown = [{**one, "a_field_of_tomorrow": {"deep": True}} for one in examples]
    wrong = [with_value(dict(one), GROWING[name], 7) for one in examples]
    lines = "".join(json.dumps(one) + "\n" for one in (*examples, *word, *grown, *wrong))
    read = subprocess.run(command, cwd=tmp_path, input=lines, check=True, capture_output=True, text=True)
    assert read.stdout.split() == ["read"] * 3 * len(examples) + ["refused"] * len(examples)


def test_the_commands_of_the_paper_make_what_its_lines_use(tmp_path: Path) -> None:
    """Each command of docs/consume.md writes its file, and the lines below them read a real record with it."""
    section = (ROOT / "docs" / "consume.md").read_text(encoding="utf-8")
    section = section.partition("### Code made of the schemas\n")[2].partition("\n### ")[0]
    commands, python, typescript, go = re.findall(r"^```\w*\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    install, *others = commands.replace("\\\n", "").splitlines()
    assert install == "pip install datamodel-code-generator"
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    for line in others:
        words = line.removeprefix("npx ").split()
        subprocess.run([tool(words[0]), *words[1:]], cwd=tmp_path, check=True, capture_output=True)
    example = json.loads((ROOT / "schemas" / "json" / "order-event.v1.json").read_text(encoding="utf-8"))["examples"][0]
    record = f"from types import SimpleNamespace\nrecord = SimpleNamespace(value={json.dumps(example).encode()!r})\n"
    read = subprocess.run(
        [sys.executable, "-c", record + python], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    time = datetime.fromisoformat(example["time"])
    assert read.stdout == f"{time} {example['subject']} {example['data']['status']}\n"
    for text, file, used in (
        (typescript, "OrderEvent.ts", "toOrderEvent"),
        (go, "order_event.go", "UnmarshalOrderEvent"),
    ):
        assert used in text
        assert used in (tmp_path / file).read_text(encoding="utf-8")
