"""The example consumers: a test that asks for `program` is held by each of them, one after the other.

Tests that do nothing but wait ask for `programs`, all that are here, and wait once.
"""

import os

import pytest

from tests.support.consuming import Program, go_program, java_program, node_program, python_program
from tests.support.skipped import missing

# How each is made, the variable that makes its absence a failure, and the command that brings it. Where there is a
# Kafka, there is Java as a rule; Go and Node are tools as those of `make tools` are.
_OTHERS = {
    "java": (java_program, "REQUIRE_KAFKA", "PATH=FOLDER-OF-JAVA-AND-MAVEN:$PATH make test"),
    "go": (go_program, "REQUIRE_TOOLS", "PATH=FOLDER-OF-GO:$PATH make test"),
    "node": (node_program, "REQUIRE_TOOLS", "make tools"),
}


@pytest.fixture(params=["python", *_OTHERS])
async def program(request: pytest.FixtureRequest) -> Program:
    if request.param == "python":
        return python_program()
    make_program, variable, bring = _OTHERS[request.param]
    found = await make_program()
    if isinstance(found, str) and os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {found}", pytrace=False)
    if isinstance(found, str):
        pytest.skip(missing(found, bring=bring))
    return found


@pytest.fixture
async def programs() -> list[Program]:
    """All that are here; what is not is told by the tests that ask for each."""
    found = [await make_program() for make_program, _, _ in _OTHERS.values()]
    return [python_program(), *(one for one in found if isinstance(one, Program))]
