"""The entry point of the program and of `python -m ops`: Ctrl-C ends it with 130 even while it is still loading."""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path

_INTERRUPTED = 130
_CONFIGURATION = 2
_PACKAGES = ("schemas", "ingest", "processors")
# These verbs read their configuration again on SIGHUP; without a handler it would end them.
_RELOADING_VERBS = frozenset({"ingest", "process", "console"})


def main() -> None:
    """Runs the verb that the command line names and ends the process with its exit code."""
    if _RELOADING_VERBS & set(sys.argv[1:2]):
        # Blocked until `ops.service.run` has set a handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        if foreign := _foreign_package():
            sys.stderr.write(f"error: {foreign}\n")
            sys.exit(_CONFIGURATION)
        from ops.cli import main as run_verb  # noqa: PLC0415 loading takes long enough to be interrupted

        run_verb()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _foreign_package() -> str | None:
    """The sentence about a package of another program that Python would load in place of ours; None without one."""
    ours = Path(__file__).resolve().parents[1]
    for name in _PACKAGES:
        spec = find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or ())] if spec else []
        if ours / name not in places[:1]:
            found = places[0] if places else spec.origin if spec else "nowhere"
            return (
                f"Python finds another {name} before that of dropstream: {found}\n"
                "Take its folder out of PYTHONPATH, or install dropstream into a virtual environment of its own."
            )
    return None


if __name__ == "__main__":
    main()
