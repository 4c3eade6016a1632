"""What is deployed, read as a machine reads it: YAML, charts and other people's schemas; `make tools` fetches them."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.settings import Settings
from tests.support.checkout import ROOT
from tests.support.tools import tool
from tests.support.waiting import PATIENCE_S

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "dropstream"
# A file's content where a secret is mounted, and whatever a variable holds: as long as a token should be.
_SECRET = "0123456789abcdefghijklmnop"


def run(*command: str | Path, given: str = "", succeeds: bool = True) -> str:
    """What the program says, on both ways; asserts that it succeeds, or that it does not."""
    done = subprocess.run(
        [str(part) for part in command],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=quiet_environment(),
    )
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is succeeds, said[-4_000:]
    return done.stdout if succeeds else said


def read_yaml(text: str) -> list[Any]:
    """Every document in the text."""
    program = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout, default=str)"
    documents: list[Any] = json.loads(run(tool("python"), "-c", program, given=text))
    return [one for one in documents if one is not None]


def rendered(*arguments: str | Path, succeeds: bool = True) -> str:
    """The chart's manifests with these arguments of `helm template`, or what Helm says against them."""
    helm = (tool("helm"), "template", "dropstream", CHART, "--kube-version", "1.33.0", "--namespace", "shop")
    return run(*helm, *arguments, succeeds=succeeds)


def read_as_deployed(text: str, environ: Mapping[str, str], *, folder: Path, signing_secrets: bool = True) -> Settings:
    """The settings of a part that has this file and these variables; every secret that it may have holds something.

    `folder` stands for `/run/secrets/dropstream`, where only what is mounted is found.
    """
    text = text.replace("/run/secrets/dropstream", str(folder))
    context = Context(environ=environ, providers=discover(), signing_secrets=signing_secrets)
    return read_configuration(text, source="deployed", context=context)


def put_secrets(folder: Path, *names: str) -> None:
    """Files as Kubernetes mounts them, each `kind/key`."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_SECRET + name, encoding="utf-8")


def filled_example() -> dict[str, str]:
    """The variables of `.env.example`, each with something in it."""
    lines = (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
    names = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    return {name: _SECRET + name for name in names}


def quiet_environment(**more: str) -> dict[str, str]:
    """The environment without what leads to this checkout or another configuration."""
    dropped = ("PYTHON", "DROPSTREAM", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | more
