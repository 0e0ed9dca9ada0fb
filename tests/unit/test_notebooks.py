"""The notebooks and the example of the page run, at toy size, as somebody would run them."""

import contextlib
import io
import json
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "metaloc.ipynb"
#: What the cell of sizes sets.
TOY = {
    "META_STEPS": 15,
    "INNER_STEPS": 1,
    "HIDDEN": (16,),
    "PLACES": 1,
    "STEPS": (0, 2),
    "ASKED": 40,
    "RATES": (0.02,),
}


@pytest.fixture
def quiet_figures():
    before = mpl.get_backend()
    mpl.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
    mpl.use(before)


def _cells():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def _code():
    return [cell for cell in _cells() if cell["cell_type"] == "code"]


@pytest.mark.usefixtures("quiet_figures")
def test_the_notebook_runs():
    names = {}
    for cell in _code():
        source = "".join(cell["source"])
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, str(NOTEBOOK), "exec"), names)  # noqa: S102 - that is the test
        if "parameters" in cell["metadata"].get("tags", []):
            assert names.keys() >= TOY.keys()
            names.update(TOY)
    assert list(names["errors"]) == ["maml", "maml_dg", "tl", "ri"]
    assert all(
        np.isfinite(found).all() and found.shape == (2,) for found in names["errors"].values()
    )
    assert names["own_errors"].shape == (2,)
    assert np.isfinite(names["own_errors"]).all()
    # Fifteen steps have taught something: metres in a room of 24 m.
    assert names["errors"]["tl"][0] < names["errors"]["ri"][0]
    assert len(names["axes"].get_lines()) == 4


def test_the_notebook_is_kept_without_results():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in _code())
    assert len({cell["id"] for cell in _cells()}) == len(_cells())


def test_links_of_the_notebook_lead_somewhere():
    text = "".join("".join(c["source"]) for c in _cells() if c["cell_type"] == "markdown")
    links = re.findall(r"\]\((\.\./[^)#]+)\)", text)
    assert links
    assert all((NOTEBOOK.parent / link).exists() for link in links)


def test_the_example_of_the_page_runs():
    page = (ROOT / "docs" / "metaloc.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert 'outer_steps": 50' in example
    names = {}
    exec(compile(example.replace(": 50", ": 3"), "docs/metaloc.md", "exec"), names)  # noqa: S102
    assert names["answers"].shape == (4, 1, 20, 2)
    assert np.isfinite(names["answers"]).all()
