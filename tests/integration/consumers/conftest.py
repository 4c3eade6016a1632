"""The example consumers, one after the other: a test of this folder that asks for `program` is held by all of them."""

import os

import pytest

from tests.support.consuming import Program, go_program, java_program, node_program, python_program
from tests.support.skipped import missing

_OTHERS = {
    "java": (java_program, "PATH=FOLDER-OF-JAVA-AND-MAVEN:$PATH make test"),
    "go": (go_program, "PATH=FOLDER-OF-GO:$PATH make test"),
    "node": (node_program, "PATH=FOLDER-OF-NODE:$PATH make tools test"),
}


@pytest.fixture(params=["python", *_OTHERS])
async def program(request: pytest.FixtureRequest) -> Program:
    if request.param == "python":
        return python_program()
    make_program, bring = _OTHERS[request.param]
    found = await make_program()
    if isinstance(found, str) and os.environ.get("REQUIRE_KAFKA") == "1":
        pytest.fail(f"REQUIRE_KAFKA=1, but {found}", pytrace=False)
    if isinstance(found, str):
        pytest.skip(missing(found, bring=bring))
    return found
