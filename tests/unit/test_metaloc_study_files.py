"""Study files of MetaLoc: what they may leave out, and the presets that the shipped ones follow."""

from __future__ import annotations

from pathlib import Path

import pytest

import studies
from flows.metaloc.days import DaysSettings
from flows.metaloc.layouts import LayoutsSettings
from flows.metaloc.similarity import SimilaritySettings
from flows.metaloc.study import load_metaloc_study
from twin.errors import InputError
from twin.learn.presets import CSI_PAPER

FOLDER = Path(studies.__file__).parent
SITE = "sites: [{scene: hall, realisations: 8}]\n"


def settings(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(f"schema: fingertwin/metaloc@1\nname: own\n{text}")
    return load_metaloc_study(path).settings


def test_groups_of_settings_may_be_given_in_part(tmp_path):
    plain = DaysSettings()
    found = settings(
        tmp_path,
        f"{SITE}days: {{meta: {{outer_steps: 7}}, share: {{maml_dg: 0.25}}, rates: {{maml: 0.2}}, "
        "shape: {ways: 3}, broad: {steps: 2}}",
    )
    assert found == plain.model_copy(
        update={
            "meta": plain.meta.model_copy(update={"outer_steps": 7}),
            "share": {**plain.share, "maml_dg": 0.25},
            "rates": {**plain.rates, "maml": 0.2},
            "shape": plain.shape.model_copy(update={"ways": 3}),
            "broad": plain.broad.model_copy(update={"steps": 2}),
        }
    )


def test_what_is_left_out_is_the_experiments_own_default(tmp_path):
    found = settings(tmp_path, f"{SITE.replace('hall', 'wi_s1')}layouts: {{survey: {{places: 3}}}}")
    own = LayoutsSettings().survey
    assert own.access_points != type(own)().access_points
    assert found.survey == own.model_copy(update={"places": 3})


def test_environments_replace_the_default_ones(tmp_path):
    laws = [{"name": f"law {n}", "exponent": 2.5, "nlos_std_db": 4.0} for n in (1, 2)]
    environments = f"{{mine: [{laws[0]}], yours: [{laws[1]}]}}"
    found = settings(tmp_path, f"similarity: {{environments: {environments}}}")
    assert list(found.environments) == ["mine", "yours"]
    assert not set(found.environments) & set(SimilaritySettings().environments)


def test_faults_of_a_part_are_told_by_key(tmp_path):
    with pytest.raises(InputError) as refused:
        settings(tmp_path, f"{SITE}days: {{meta: {{outer_steps: -1, tasks: none}}}}")
    assert [fault.key for fault in refused.value.faults] == [
        "days.meta.outer_steps",
        "days.meta.tasks",
    ]


def test_the_papers_study_takes_the_papers_preset():
    found = load_metaloc_study(FOLDER / "metaloc_days_paper.yaml").settings
    assert found.meta == CSI_PAPER
    assert set(found.rates.values()) == {CSI_PAPER.inner_rate}
    steps = {name: found.meta_of(name).outer_steps for name in ("maml", "maml_ts", "maml_dg")}
    assert steps == {"maml": 7500, "maml_ts": 1250, "maml_dg": 2500}
