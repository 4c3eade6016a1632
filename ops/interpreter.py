"""Starts further interpreters of Python that find the modules which this one finds.

Without this an interpreter looks first into the folder in which a person happens to stand: a folder `ops` there, a name
that many projects have, would take the place of ours.
"""

import os
import sys


def command(*arguments: str) -> list[str]:
    """The command line of an interpreter like this one with these arguments, where `variables()` are set."""
    # -P: the present folder is not looked into. https://docs.python.org/3/using/cmdline.html#cmdoption-P
    return [sys.executable, "-P", *arguments]


def variables() -> dict[str, str]:
    """The variables of the environment that name this interpreter's folders of modules."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
