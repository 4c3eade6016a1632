"""The table of verbs: what is shown without loading a verb, and that the table says what the verbs say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from ops.cli import app
from ops.verbs import VERBS, first_sentence

# What takes long to load: Kafka, HTTP, the settings, and what draws on a terminal in colour.
HEAVY = ("aiohttp", "aiokafka", "prometheus_client", "pydantic", "structlog")
# The services, and the two that can stay and watch.
LOGGING = {"ingest", "process", "console", "reconcile", "up"}


def program(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("word", VERBS)
def test_the_list_says_of_a_verb_what_its_help_says_first(word: str) -> None:
    """The sentence in the table is the first sentence of the verb's own help."""
    commands: dict[str, object] = get_command(app).commands  # type: ignore[attr-defined] # a group has it
    assert VERBS[word].sentence == first_sentence(str(getattr(commands[word], "help", "")))


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_loads_no_verb(option: str) -> None:
    """The list of verbs is shown at once: no library of a verb is loaded for it."""
    shown = "import sys; from ops.cli import app; app(prog_name='dropstream', standalone_mode=False)"
    loaded = f"{shown}; print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", loaded, option], capture_output=True, text=True, check=True)
    assert "Runs the whole system on this machine" in ended.stdout
    assert ended.stderr == "[]\n"


def test_the_doctor_begins_without_an_http_client() -> None:
    """It asks two admin ports, and an API only where one is configured: the client loads longer than all its checks."""
    heavy = ("aiohttp", "prometheus_client", "rich.progress")
    loaded = f"import ops.doctor.command, sys; print([one for one in {heavy} if one in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_a_verb_that_is_no_service_begins_without_a_logger() -> None:
    """structlog brings all colours of a terminal with it; a verb that ends with a sentence writes no line of a log."""
    modules = sorted({verb.module for word, verb in VERBS.items() if word not in LOGGING})
    loaded = "import importlib, sys; [*map(importlib.import_module, sys.argv[1:])]; print('structlog' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", loaded, *modules], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_the_list_of_a_group_ends_no_sentence_early() -> None:
    """What a verb does is said whole in 80 columns; nothing ends in three dots."""
    page = program("endpoints", "--help", COLUMNS="80").stdout
    assert "Makes files of secret and token, and prints the lines for the configuration." in " ".join(page.split())
    assert "..." not in page.partition("Commands:")[2]
    assert max(map(len, page.splitlines())) <= 80


def test_every_verb_takes_the_short_word_for_help() -> None:
    """-h is --help, for a verb and for a verb in a group."""
    for verb in (["gaps"], ["offsets", "show"], ["shipstream", "webhooks", "list"]):
        assert "Usage: dropstream" in program(*verb, "-h").stdout


def test_a_shell_completes_verbs_and_options(tmp_path: Path) -> None:
    """The completion that --install-completion installs knows the verbs, those in groups and the options."""

    def completed(line: str) -> set[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - (not line.endswith(" ")))}
        ended = program(_DROPSTREAM_COMPLETE="complete_bash", HOME=str(tmp_path), **words)
        return set(ended.stdout.split())

    assert completed("dropstream re") == {"reconcile", "replay", "redrive"}
    assert completed("dropstream offsets ") == {"show", "set"}
    assert "--endpoint" in completed("dropstream gaps --e")
    # The shell is named here: typer looks for it among the parents of the process, where a test run need not have one.
    shown = program("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "complete" in shown.stdout
