"""What of a study is refused before any work: rules of settings, and what sites and data decide."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import studies
from flows.metaloc import fitting
from flows.metaloc.fitting import data_misfits, site_misfits
from flows.metaloc.path_loss import PathLossLaw
from flows.metaloc.sites import plan_site
from flows.metaloc.study import EXPERIMENTS, TRACED, MetaLocStudy, load_metaloc_study
from flows.study import Study, demo_file
from twin.config import validate
from twin.errors import InputError
from twin.measured.csu_csi_rssi import SITES
from twin.scene.library import scene_path

HEAD = "schema: fingertwin/metaloc@1\nname: toy\n"
HALL = "{scene: hall, realisations: 20}"


@pytest.fixture
def study(tmp_path):
    """Reads a study from what follows its head."""

    def read(text):
        path = tmp_path / "study.yaml"
        path.write_text(HEAD + text)
        return load_metaloc_study(path)

    return read


@pytest.fixture
def misfits(study):
    """Key and message of what does not fit the sites of a study."""

    def found(text):
        asked = study(text)
        plans = {index: plan_site(site, {}) for index, site in enumerate(asked.sites)}
        return {fault.key: str(fault) for fault in site_misfits(asked, plans, "study.yaml")}

    return found


# What follows the head of a study, and the keys that are refused, below that of the experiment.
BROKEN = {
    "days": (
        """
            paradigms: [ri, ri]
            levels_m: [1, 1]
            steps: [9, 5]
        """,
        ["paradigms", "levels_m", "steps", "steps"],
    ),
    "layouts": (
        """
            training: [a, a]
            new: [a, b, b]
            laws: [{name: x}, {name: x}]
            steps: [5, 1]
            survey: {pool: 129}
        """,
        ["training", "new", "new", "laws", "steps", "survey.pool"],
    ),
    "similarity": (
        """
            environments: {a: [{name: x}], b: [{name: x}]}
            new: [{law: {name: x}, source: ours}]
            steps: [5, 1]
            survey: {pool: 10}
        """,
        ["environments", "new", "steps", "survey.pool"],
    ),
    "theory": (
        "    base: {new: [], environments: {a: []}, steps: []}",
        ["base.environments.a", "base.new", "base.steps"],
    ),
    "convergence": (
        """
            training: [{name: x}]
            test: {name: x}
            steps: [1, 0]
            more_steps: [1, 1]
            more: [9]
            survey: {pool: 129}
        """,
        ["training", "steps", "more_steps", "more", "survey.pool"],
    ),
    "reference_points": (
        """
            references: [9, 9]
            more_steps: 10
            training: [{name: x}, {name: x}]
            survey: {pool: 129}
        """,
        ["references", "more_steps", "training", "survey.pool"],
    ),
    "rooms": (
        """
            left_out: [office, office]
            features: [rss, rss]
            labels: [5, 5]
        """,
        ["left_out", "features", "labels"],
    ),
    "corridors": (
        """
            paradigms: [tl, tl]
            labels: [3, 3]
            left_out: [hall]
        """,
        ["paradigms", "labels", "labels", "left_out"],
    ),
}


def assert_refused(study, text, keys):
    with pytest.raises(InputError) as refused:
        study(text)
    assert sorted(fault.key for fault in refused.value.faults) == sorted(keys)
    for fault in refused.value.faults:
        assert fault.where.endswith("study.yaml")
        assert "expected" not in fault.expected
        assert len(fault.found) <= 80


@pytest.mark.parametrize("experiment", BROKEN)
def test_rules_of_settings_are_told_together_and_by_key(study, experiment):
    text, keys = BROKEN[experiment]
    sites = f"sites: [{HALL}]\n" if experiment in TRACED else ""
    keys = [f"{experiment}.{key}" for key in keys]
    assert_refused(study, f"{sites}{experiment}:\n{text}", keys)


def test_rules_of_the_whole_study_are_told_together(study):
    twice = f"sites: [{HALL}, {HALL}]\n"
    assert_refused(study, f"theory: {{}}\nrooms: {{}}\n{twice}", ["sites", ""])
    assert_refused(study, f"theory: {{}}\n{twice}", ["sites", "sites"])


def test_a_law_has_what_its_model_has(study):
    law = "{name: x, model: mall_nlos, exponent: 3, los_std_db: 2}"
    keys = ["convergence.test.exponent", "convergence.test.los_std_db"]
    assert_refused(study, f"convergence: {{test: {law}}}", keys)
    assert PathLossLaw(name="a", exponent=2.5, nlos_std_db=7.0).law()


@pytest.mark.parametrize("name", ["../../tmp/x", ".hidden", "", "a b", "a/b", "n" * 101])
def test_names_of_studies_are_names_of_folders(name):
    for content, kind in (
        ({"schema": "fingertwin/metaloc@1", "theory": {}}, MetaLocStudy),
        (yaml.safe_load(demo_file().read_text()), Study),
    ):
        with pytest.raises(InputError) as refused:
            validate({**content, "name": name}, kind, "study.yaml")
        assert [fault.key for fault in refused.value.faults] == ["name"]
        assert validate({**content, "name": "My-study_1.2"}, kind, "study.yaml")


@pytest.mark.parametrize("name", [f"metaloc_{name}" for name in EXPERIMENTS])
def test_the_studies_that_ship_fit(name):
    asked = load_metaloc_study(Path(studies.__file__).with_name(f"{name}.yaml"))
    plans = {index: plan_site(site, {}) for index, site in enumerate(asked.sites)}
    assert site_misfits(asked, plans, "study.yaml") == []
    assert data_misfits(asked, None, "study.yaml") == []


def test_studies_of_days_that_fit(misfits):
    assert misfits(f"sites: [{HALL}]\ndays: {{}}") == {}
    # The third day has one visit, which is enough as long as it is not held out.
    short = "sites: [{scene: hall, realisations: 9}]\ndays: {shape: {supports: 2, queries: 2}}\n"
    assert misfits(short + "seeds: 2") == {}
    assert "found one of day 2" in misfits(short + "seeds: 3")["sites.0.realisations"]


@pytest.mark.parametrize(
    ("sites", "days", "told"),
    [
        (
            "{scene: hall, realisations: 20, report: {kind: levels}}",
            "",
            {"sites.0.report.kind": "expected packets: .* found levels"},
        ),
        (
            "{scene: hall, realisations: 8}",
            "",
            {"sites.0.realisations": r"3 days or more: .*maml_dg.* found 8, .* Take 12 or more\."},
        ),
        (
            "{scene: hall, realisations: 4}",
            "paradigms: [maml]",
            {"sites.0.realisations": r"2 days or more: .* found 4, .* Take 8 or more\."},
        ),
        (
            "{scene: street_o1, realisations: 20}",
            "",
            {
                "sites.0.scene": "52 or 64 subcarriers, found 32 in street_o1",
                "sites.0.realisations": "two or more of each day .* found one of day 0, 1, 2, 3, 4",
            },
        ),
        (
            HALL,
            "survey: 13, broad_survey: 99, nearest: 95, shape: {ways: 95, supports: 13}",
            {
                "days.survey": "at most 12 images of a point, .* sites.0, found 13",
                "days.broad_survey": "at most 12 images of a point, .* found 99",
                "days.shape.supports": "at most 12 images of a point, .* found 13",
                "days.shape": "at most 16 images of a point, .* found 18 supports and queries",
                "days.shape.ways": "at most 90, the points of sites.0, found 95",
                "days.nearest": "at most 90, the points of sites.0, found 95",
            },
        ),
        (HALL, "packets: 201", {"days.packets": "at most 200, the packets of a visit"}),
        (
            f"{HALL}, {{scene: {scene_path('hall')}, realisations: 20}}",
            "",
            {"sites.1.scene": "a name of its own, .* found hall, as sites.0"},
        ),
    ],
)
def test_sites_that_days_cannot_be_told_by(misfits, sites, days, told):
    found = misfits(f"sites: [{sites}]\ndays: {{{days}}}")
    assert set(found) == set(told)
    for key, message in told.items():
        assert re.search(message, found[key])


LAYOUTS = "layouts: {training: [wi_s1], new: [wi_s3], repeats: 2"


def test_studies_of_layouts_have_their_sites(misfits):
    def sites(first, second):
        both = f"{{scene: wi_s1, realisations: {first}}}, {{scene: wi_s3, {second}}}"
        return f"sites: [{both}]\n{LAYOUTS}"

    assert misfits(sites(2, "realisations: 2") + "}") == {}
    visits = "realisations: 1, report: {kind: levels, visits: 2}"
    assert misfits(sites(2, visits) + "}") == {}
    found = misfits(sites(1, "realisations: 1") + ", references: 300}")
    assert "2 or more, the last held out, found 1" in found["sites.0.realisations"]
    assert "2 or more, for layouts.repeats, found 1" in found["sites.1.realisations"]
    assert set(found) == {"sites.0.realisations", "sites.1.realisations", "sites.1.scene"}
    assert "401 points or more" in found["sites.1.scene"]
    other = sites(2, "realisations: 2").replace("training: [wi_s1]", "training: [wi_s1, wi_s9]")
    found = misfits(other.replace("new: [wi_s3]", "new: [hall]") + "}")
    assert "sites of this study: wi_s1, wi_s3, found wi_s9" in found["layouts.training"]
    assert "found hall" in found["layouts.new"]


def test_labels_of_rooms_are_reference_points_without_any_file(study):
    assert data_misfits(study("rooms: {labels: [51]}"), None, "study.yaml") == []
    (fault,) = data_misfits(study("rooms: {labels: [1, 52]}"), None, "study.yaml")
    assert (fault.key, fault.found) == ("rooms.labels", "52 labels and 30 queries")
    assert fault.expected == "at most 81 labels and queries, the reference points of office"
    (fault,) = data_misfits(study("rooms: {labels: [1000], reality: held_out}"), None, "study.yaml")
    assert fault.key == "rooms.labels"


def test_files_of_rooms_are_told_once(study, tmp_path):
    faults = data_misfits(study("rooms: {}"), tmp_path, "study.yaml")
    assert len(faults) == 7
    assert len({fault.where for fault in faults}) == 7


def test_settings_of_corridors_fit_the_data(study, tmp_path, monkeypatch):
    shape = study("corridors: {shape: {ways: 5, supports: 3, queries: 2}}")
    faults = data_misfits(shape, tmp_path, "study.yaml")
    assert faults[0].key == "corridors.shape"
    assert faults[0].expected.startswith("at most 4 supports and queries")
    assert [fault.where for fault in faults[1:]] == [
        str(tmp_path / name) for name in ("csu_csi_ref.npz", "csu_csi_test.npz")
    ]
    points = dict(zip(SITES, (40, 30, 26, 28, 35), strict=True))
    monkeypatch.setattr(fitting, "reference_points", lambda _: points)
    assert data_misfits(study("corridors: {labels: [26]}"), tmp_path, "study.yaml") == []
    few = study("corridors: {labels: [1000], shape: {ways: 27, supports: 3, queries: 1}}")
    found = {fault.key: fault for fault in data_misfits(few, tmp_path, "study.yaml")}
    assert set(found) == {"corridors.labels", "corridors.shape.ways"}
    assert found["corridors.labels"].expected == f"at most 26, the reference points of {SITES[2]}"
    # The one that is left out alone is no historical corridor.
    shape = "shape: {ways: 27, supports: 3, queries: 1}"
    one = study(f"corridors: {{labels: [27], {shape}, left_out: [{SITES[2]}]}}")
    assert [f.key for f in data_misfits(one, tmp_path, "study.yaml")] == ["corridors.labels"]


def test_nothing_of_this_loads_tensorflow():
    code = (
        "import sys, flows.metaloc.flow; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
