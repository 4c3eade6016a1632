"""Words that stopped readers: no message and no paper has them any more."""

import re
import subprocess

from tests.support.checkout import ROOT

# Each was not understood by a person who read it; the plain word for it stands behind.
STOPPED = {
    r"\bglances?\b": "summary",
    r"must be mended": "solve",
    r"\bis no [a-z]+ such as\b": "is not a ... such as",
    r"\bPass over\b": "Ignore",
    r"\bto be had\b": "cannot be read",
    r"left out, for\b": "say what is done, then why",
}


def test_no_word_that_stopped_a_reader_is_back() -> None:
    """What a person reads is plain English."""
    listed = subprocess.run(
        ["git", "ls-files", "ops", "ingest", "processors", "schemas", "docs", "deploy", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [
        f"{name}: {pattern} -> {plain}"
        for name in listed.stdout.splitlines()
        if name.endswith((".py", ".md", ".js", ".html", ".yaml", ".toml")) and (ROOT / name).exists()
        for pattern, plain in STOPPED.items()
        if re.search(pattern, (ROOT / name).read_text(encoding="utf-8"))
    ]
    assert found == []
