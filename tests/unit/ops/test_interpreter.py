"""Further interpreters find the modules that this one finds."""

import os
import subprocess
from pathlib import Path

import ops
from ops import interpreter


def test_a_folder_of_the_same_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Where a person stands in a folder with an `ops` of its own, ours is imported all the same."""
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "__init__.py").write_text("raise ImportError('not ours')")
    (tmp_path / "asyncio.py").write_text("raise SystemExit('not ours')")
    found = subprocess.run(
        interpreter.command("-c", "import asyncio, ops; print(ops.__file__)"),
        env={**os.environ, **interpreter.variables()},
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
    )
    assert found.stdout.decode().strip() == ops.__file__
