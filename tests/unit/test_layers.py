"""The walls of the house stand, and each of them stops what it is there to stop."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# For each contract a module that breaks it and the line that does.
VIOLATIONS = {
    "Floors": ("twin/store/stray.py", "import twin.scene"),
    "Radio road": ("twin/scene/stray.py", "import twin.perturb"),
    "Radio knows nothing of learning": ("twin/sense/stray.py", "import twin.learn"),
    "Learning reads stores only": ("twin/align/stray.py", "import twin.trace"),
    "Importers of real data write stores only": ("twin/measured/stray.py", "import twin.evaluate"),
    "Only the command line loads flows": ("twin/evaluate/stray.py", "import flows.server"),
    "Only flows use Prefect": ("twin/perturb/stray.py", "def late():\n    import prefect"),
    "Only trace uses the ray tracer": ("flows/stray.py", "from mitsuba import Bitmap"),
    "Only learn uses TensorFlow": ("twin/trace/stray.py", "import keras.layers"),
}


def lint(folder: Path) -> dict[str, str]:
    tool = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert tool is not None
    run = subprocess.run(
        [tool, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", run.stdout, flags=re.MULTILINE))
    assert verdicts, run.stdout + run.stderr
    assert (run.returncode == 0) == ("BROKEN" not in verdicts.values())
    return verdicts


def test_walls_stand():
    assert lint(ROOT) == dict.fromkeys(VIOLATIONS, "KEPT")


def test_every_package_is_shipped_and_known_as_ours():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    assert set(tool["hatch"]["build"]["targets"]["wheel"]["packages"]) == packages
    assert set(tool["ruff"]["lint"]["isort"]["known-first-party"]) == packages


@pytest.fixture
def copy(tmp_path):
    for package in ("twin", "flows"):
        shutil.copytree(ROOT / package, tmp_path / package)
    return tmp_path


def test_every_wall_stops_its_violation(copy):
    for file, line in VIOLATIONS.values():
        path = copy / file
        path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")
    assert lint(copy) == dict.fromkeys(VIOLATIONS, "BROKEN")
