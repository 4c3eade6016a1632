"""The program's entry point, and `python -m ops`: Ctrl-C ends it with 130 even while it is still being loaded."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Runs the verb that the command line names and ends the process with its exit code."""
    try:
        from ops.cli import main as run_verb  # noqa: PLC0415 loading takes long enough to be interrupted

        run_verb()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
