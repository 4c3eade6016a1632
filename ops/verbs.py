"""The table of every verb of `dropstream`, and how a verb is loaded when it is called.

A verb's module brings Kafka, HTTP and the settings with it, which take longer to load than the whole help takes to
show. So the help, the completion and the version load no verb, and a call loads one.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter
    from typer._click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb, or a group of verbs, in `module`: `name` there is a function, or a `typer.Typer`.

    `sentence` is what the list of all verbs says of it: the first sentence of the verb's own help. A verb that
    `needs_arguments` shows its help where none is given.
    """

    module: str
    name: str
    sentence: str
    needs_arguments: bool = False


VERBS = {
    "up": Verb("ops.local.up", "up", "Runs the whole system on this machine and shows a tour of it."),
    "kafka": Verb("ops.local.kafka_command", "kafka", "The local broker: real Apache Kafka."),
    "schemas": Verb(
        "ops.docs.command", "app", "The JSON Schemas and the AsyncAPI document of everything that is written."
    ),
    "topics": Verb("ops.kafka.topics_command", "app", "Creates and checks every topic from one table in code."),
    "ingest": Verb(
        "ops.service.ingest_command", "ingest", "Takes webhooks in over HTTP and keeps each in Kafka before it answers."
    ),
    "drain": Verb(
        "ops.drain", "drain", "Waits until every spooled delivery is in Kafka; exit code 1 if some are left."
    ),
    "process": Verb(
        "ops.service.process_command", "process", "Turns raw deliveries into events, exactly once, and reports gaps."
    ),
    "send": Verb(
        "ops.send.command",
        "send",
        "Sends signed deliveries over HTTP and shows the answers.",
        needs_arguments=True,
    ),
    "gaps": Verb(
        "ops.inspect.gaps_command",
        "app",
        "Lists the gaps that are open, those that are lost, and holes in their grace time.",
    ),
    "audit": Verb(
        "ops.audit.command",
        "audit_topics",
        "Judges every delivery of raw again and compares every record that it led to; 1 on any exception or doubt.",
    ),
    "replay": Verb(
        "ops.replay.command",
        "replay",
        "Judges a range of raw again by today's rules; the events have the ids that they had at first.",
        needs_arguments=True,
    ),
    "redrive": Verb(
        "ops.replay.command",
        "redrive",
        "Judges rejected deliveries again; those that are good now become events, once, however often it is called.",
    ),
    "reconcile": Verb(
        "ops.reconcile.command",
        "reconcile",
        "Fetches from a provider's API what webhooks lost; adds the newest states as events, each once.",
        needs_arguments=True,
    ),
    "trace": Verb(
        "ops.inspect.trace_command",
        "trace_entity",
        "Tells one entity's life: deliveries, events, retries, rejections, replays.",
        needs_arguments=True,
    ),
    "explain": Verb(
        "ops.inspect.explain_command",
        "explain_delivery",
        "Says what a delivery becomes and why: signature, JSON, topic, key, time, facts, records.",
        needs_arguments=True,
    ),
    "tail": Verb(
        "ops.inspect.tail_command",
        "tail",
        "Reads a topic, committed records only, until Ctrl-C.",
        needs_arguments=True,
    ),
    "acts": Verb(
        "ops.people.command",
        "acts",
        "Shows who did what: redrives, replays, unmasked data, offsets, logins, wrong tokens; the oldest first.",
    ),
    "offsets": Verb("ops.kafka.offsets_command", "app", "Shows and sets the offsets of consumer groups."),
    "console": Verb(
        "ops.console.command", "console", "Shows how the system is, and acts: redrive, a dry run of a replay, a sample."
    ),
    "endpoints": Verb("ops.endpoints.command", "app", "Shows and checks the configured endpoints; makes new ones."),
    "shipstream": Verb("ops.shipstream.command", "app", "ShipStream's management API."),
    "doctor": Verb(
        "ops.doctor.command",
        "doctor",
        "Checks configuration, secrets, Kafka, topics, clock and disk; exit code 1 if a check failed.",
    ),
}


class LazyVerbs(MutableMapping[str, "Command"]):
    """Every verb by its word; the module of a verb is loaded when the verb is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, word: str) -> "Command":
        if word not in self._loaded:
            self._loaded[word] = _load(word, VERBS[word])
        return self._loaded[word]

    def __setitem__(self, word: str, command: "Command") -> None:
        self._loaded[word] = command

    def __delitem__(self, word: str) -> None:
        del self._loaded[word]

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class VerbGroup(TyperGroup):
    """A group of verbs; its help says of each the whole first sentence, however narrow the terminal is."""

    def format_commands(self, context: "Context", formatter: "HelpFormatter") -> None:
        """Writes the list of verbs into the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.sentences(context).items()))

    def sentences(self, _context: "Context") -> Mapping[str, str]:
        """What the list of verbs says of each, by its word."""
        return {word: first_sentence(command.help or "") for word, command in self.commands.items()}


class Program(VerbGroup):
    """All verbs; its help and its completion show the table above, and load no verb."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = LazyVerbs()

    def sentences(self, _context: "Context") -> Mapping[str, str]:
        """What the table says."""
        return {word: verb.sentence for word, verb in VERBS.items()}

    def shell_complete(self, context: "Context", incomplete: str) -> "list[CompletionItem]":
        """The verbs that begin with `incomplete`, or the options of the program itself."""
        from typer._click.shell_completion import CompletionItem  # noqa: PLC0415 only a completing shell needs it

        words = [CompletionItem(word, help=VERBS[word].sentence) for word in VERBS if word.startswith(incomplete)]
        return words or super().shell_complete(context, incomplete)


def first_sentence(text: str) -> str:
    """The first sentence of a help, on one line."""
    line = " ".join(text.split())
    found = re.match(r".*?\.(?=\s|$)", line)
    return found[0] if found else line


def verb_group(sentence: str, *, cls: type[TyperGroup] = VerbGroup, completion: bool = False) -> typer.Typer:
    """An empty group of verbs whose help is plain text, on a terminal and in a pipe alike."""
    return typer.Typer(
        cls=cls,
        help=sentence,
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _load(word: str, verb: Verb) -> "Command":
    found = getattr(import_module(verb.module), verb.name)
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.name = word
        return group
    alone = verb_group("")
    alone.command(word, no_args_is_help=verb.needs_arguments)(found)
    return get_command(alone)
