"""Reads the topics that a person wants a webhook to have."""

from collections.abc import Collection, Sequence

import typer

from ops import screen
from ops.shipstream.webhooks import TOPIC_PATTERN
from ops.suggest import nearest


def chosen_topics(given: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The topics that `given` names, each once; `all` for every one that is known here.

    A topic that is not known here is taken, with a warning: ShipStream may have new ones.

    Raises:
        typer.BadParameter: a text is no topic, or there is none.
    """
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("names none; write order:created,inventory:adjusted or all", param_hint="--topics")
    if names == ["all"]:
        return tuple(known)
    for name in names:
        if "*" in name:
            sentence = f"{name!r}: ShipStream took wildcards away; name each topic, or write all"
            raise typer.BadParameter(sentence, param_hint="--topics")
        if not TOPIC_PATTERN.fullmatch(name):
            raise typer.BadParameter(f"{name!r} is not a topic such as order:created", param_hint="--topics")
        if name not in known:
            screen.note(f"warning: topic {name} is not known here{nearest(name, known)}")
    return tuple(dict.fromkeys(names))
