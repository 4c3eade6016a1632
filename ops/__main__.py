"""The entry point of the program and of `python -m ops`: Ctrl-C ends it with 130 even while it is still loading."""

import signal
import sys

_INTERRUPTED = 130
# These verbs read their configuration again on SIGHUP; without a handler it would end them.
_RELOADING_VERBS = frozenset({"ingest", "process", "console"})


def main() -> None:
    """Runs the verb that the command line names and ends the process with its exit code."""
    if _RELOADING_VERBS & set(sys.argv[1:2]):
        # Blocked until `ops.service.run` has set a handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        from ops.cli import main as run_verb  # noqa: PLC0415 loading takes long enough to be interrupted

        run_verb()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
