"""The script that fetches what tests use: it takes nothing whose hash is another, and says what it could not have."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.checkout import ROOT

# Stand for Debian's programs: a package that anybody could have put there.
_APT_GET = '#!/bin/sh\ncase "$*" in *download*) echo foreign > prometheus_0_amd64.deb ;; esac\n'
_ALL = "parsers promtool apicurio quicktype node-packages helm"
_FAILS = "#!/bin/sh\nexit 1\n"
_DPKG_DEB = "#!/bin/sh\nmkdir -p usr/bin && echo foreign > usr/bin/promtool && tar -c ./usr/bin/promtool\n"


def fetch(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run in a copy of its own, where apt gives a package with another content, and no Python makes an environment."""
    shutil.copytree(ROOT / "deploy" / "tools", folder / "deploy" / "tools")
    (folder / "examples" / "node").mkdir(parents=True)
    for lock in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "examples" / "node" / lock, folder / "examples" / "node")
    programs = folder / "bin"
    programs.mkdir()
    for name, text in {"apt-get": _APT_GET, "dpkg-deb": _DPKG_DEB, "none": _FAILS, "npm": _FAILS}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return subprocess.run(
        [folder / "deploy" / "tools" / "fetch"],
        env={"PATH": path, "PYTHON": "none", "TMPDIR": str(folder), **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_package_of_another_hash_is_not_taken(tmp_path: Path) -> None:
    """It is as if there were none, it is told by name, and nothing of it stays."""
    done = fetch(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "Not here, so their tests are skipped: parsers promtool apicurio quicktype node-packages helm."
    )
    kept = [file for file in (tmp_path / ".dropstream" / "tools").rglob("*") if file.is_file()]
    # Locks alone, of packages that could not be had.
    assert {file.name for file in kept} <= {"package.json", "package-lock.json"}
    assert not list(tmp_path.glob("tmp.*"))


def test_what_is_asked_for_and_missing_is_a_failure(tmp_path: Path) -> None:
    """REQUIRE_TOOLS=1."""
    done = fetch(tmp_path, REQUIRE_TOOLS="1")
    assert done.returncode == 1
    assert f"REQUIRE_TOOLS=1, but there is no: {_ALL}" in done.stderr
