"""`dropstream`: one program of all verbs; `ops.verbs` says where each stands, what it does stands in its own file.

Exit codes: 0 done, 1 the operation failed, 2 usage or configuration, 130 Ctrl-C.
"""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ops import screen
from ops.outside_causes import outside_cause
from ops.verbs import Program, verb_group
from schemas.errors import AccessRefusedError, ConfigurationError, DropstreamError, UsageError

_SENTENCE = "Dropship webhooks in, kept, and turned exactly once into events other services can trust."

app = verb_group(_SENTENCE, cls=Program, completion=True)


@app.callback(invoke_without_command=True, help=_SENTENCE)
def show_version(
    *,
    version_only: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    """Shows the version where it is asked for; a verb follows otherwise."""
    if version_only:
        from importlib.metadata import version  # noqa: PLC0415 no other call needs it, and it loads a mail parser

        screen.write_line(version("dropstream"))
        raise typer.Exit


def _readable(arguments: Sequence[str]) -> list[str]:
    """The arguments as text, whatever character set the terminal has.

    Raises:
        UsageError: one of them is not UTF-8.
    """
    given = [os.fsencode(one) for one in arguments]
    for one in given:
        try:
            one.decode()
        except UnicodeDecodeError:
            raise UsageError(f"the argument {one.decode('utf-8', 'backslashreplace')!r} is not UTF-8 text") from None
    return [one.decode() for one in given]


def main() -> None:
    """Runs the verb that the command line names and ends the process with its exit code."""
    # Log lines of aiokafka would stand before our one sentence; a verb that logs sets handlers at the root.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    screen.accept_any_text()
    try:
        app(_readable(sys.argv[1:]), prog_name="dropstream")
    except screen.ReaderGoneError:
        sys.exit(0)
    except (ConfigurationError, UsageError) as error:
        screen.complain(str(error))
        sys.exit(2)
    except AccessRefusedError as error:
        from ops.kafka.rights import explained  # noqa: PLC0415 a verb that does not speak to Kafka does not load it

        screen.complain(explained(error, sys.argv[1]))
        sys.exit(1)
    except DropstreamError as error:
        screen.complain(str(error))
        sys.exit(1)
    except Exception as error:
        sentence = outside_cause(error)
        if sentence is None:
            raise  # A fault of this program: its traceback says where.
        screen.complain(sentence)
        sys.exit(1)
