"""MetaLoc's studies on the road: what is refused before work, what is kept, what comes out."""

from __future__ import annotations

import importlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from flows.metaloc import fitting
from flows.metaloc.experiments import experiment_records
from flows.metaloc.flow import metaloc, read_metaloc_request
from flows.metaloc.results import seed_file, seed_records
from flows.metaloc.study import (
    DATA_SETS,
    EXPERIMENTS,
    MEASURED,
    TRACED,
    canonical,
    load_metaloc_study,
)
from twin.cli import main as cli
from twin.cli.data import data_app
from twin.errors import InputError, TwinError
from twin.measured.importing import IMPORTERS

HEAD = "schema: fingertwin/metaloc@1\nname: toy\n"


def written(folder, text):
    path = folder / "study.yaml"
    path.write_text(HEAD + text)
    return path


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    """An empty folder of downloads, and no data folder named."""
    monkeypatch.delenv("TWIN_DATA_DIR", raising=False)
    monkeypatch.setattr("flows.metaloc.data.cache_folder", lambda: tmp_path / "downloads")
    return tmp_path / "downloads"


def library():
    return sorted(Path(str(files("studies"))).glob("metaloc_*.yaml"))


def test_there_is_a_study_of_every_experiment():
    found = [load_metaloc_study(path) for path in library()]
    assert {study.experiment for study in found} == set(EXPERIMENTS)
    assert all(path.stem == study.name for path, study in zip(library(), found, strict=True))
    assert len({canonical(study) for study in found}) == len(found)
    assert all(bool(study.sites) == (study.experiment in TRACED) for study in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: 2\n", "one experiment of .*found none"),
        ("theory: {}\nrooms: {}\n", "found rooms and theory"),
        ("days: {}\n", "at least one for days, found 0"),
        ("theory: {}\nsites: [{scene: hall, realisations: 2}]\n", "none for theory, found 1"),
        (
            "days: {}\nsites: [{scene: hall, realisations: 2}, {scene: hall, realisations: 3}]\n",
            "sites: expected each value once, found hall twice",
        ),
        ("theory: {depth: 3}\nseeds: 0\n", r"(?s)seeds.*depth|depth.*seeds"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load_metaloc_study(written(tmp_path, text))


@pytest.mark.usefixtures("nothing_here")
def test_all_faults_of_a_request_are_told_in_one_message(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(InputError) as caught:
        read_metaloc_request(written(tmp_path, "rooms: {}\n"), None, occupied)
    told = str(caught.value)
    assert "--data-dir" in told
    assert "TWIN_DATA_DIR" in told
    assert "--out" in told


def refusal(study, *given):
    """Faults of a request by their place."""
    with pytest.raises(InputError) as refused:
        read_metaloc_request(study, *given)
    return {(fault.where, fault.key): fault for fault in refused.value.faults}


def test_scenes_and_sites_are_told_by_their_key(tmp_path):
    sites = "{scene: hall, realisations: 4}, {scene: nowhere, realisations: 2}"
    study = written(tmp_path, f"days: {{survey: 13}}\nsites: [{sites}]\n")
    found = refusal(study, None, tmp_path / "out")
    keys = ["sites.0.realisations", "sites.1.scene"]
    assert sorted(found) == [(str(study), key) for key in keys]
    assert found[str(study), "sites.1.scene"].found == "nowhere"


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize("experiment", sorted(MEASURED))
def test_what_fetches_missing_data_is_a_command_that_there_is(experiment, tmp_path):
    study = written(tmp_path, f"{experiment}: {{}}\n")
    found = refusal(study, None, tmp_path / "out")
    ((command, name),) = re.findall(r"twin data (\w+) (\w+)", found["--data-dir", ""].cure)
    assert command in {known.name for known in data_app.registered_commands}
    assert name == DATA_SETS[experiment].name
    assert name in IMPORTERS


@pytest.mark.usefixtures("nothing_here")
def test_a_data_folder_that_is_not_there_is_told_once(tmp_path):
    study = written(tmp_path, "rooms: {}\n")
    found = refusal(study, tmp_path / "none", tmp_path / "out")
    assert [fault.found for fault in found.values()] == [str(tmp_path / "none")]
    study.write_text("name: [")
    assert ("--data-dir", "") in refusal(study, tmp_path / "none", tmp_path / "out")


@pytest.mark.usefixtures("nothing_here")
def test_data_files_are_looked_at_before_any_work(tmp_path):
    (tmp_path / "data").mkdir()
    study = written(tmp_path, "rooms: {labels: [1000]}\n")
    found = refusal(study, tmp_path / "data", tmp_path / "out")
    assert len(found) == 8
    assert (str(study), "rooms.labels") in found
    assert not (tmp_path / "out").exists()


def test_downloads_stand_in_for_a_data_folder(tmp_path, nothing_here, monkeypatch):
    study = written(tmp_path, "rooms: {}\n")
    monkeypatch.setattr(fitting, "check_data", lambda folder, _: folder.iterdir())
    folder = nothing_here / "wifi_rtt_rooms"
    folder.mkdir(parents=True)
    for file in DATA_SETS["rooms"].files[:-1]:
        (folder / file.name).touch()
    assert ("--data-dir", "") in refusal(study, None, tmp_path / "out")
    (folder / DATA_SETS["rooms"].files[-1].name).touch()
    assert read_metaloc_request(study, None, tmp_path / "out").folder == nothing_here
    named = tmp_path / "named"
    named.mkdir()
    assert read_metaloc_request(study, named, tmp_path / "out").folder == named
    theory = written(tmp_path, "theory: {}\n")
    assert read_metaloc_request(theory, None, tmp_path / "out").folder is None


def refused(monkeypatch, capsys, *words):
    """What a command says that is refused."""
    monkeypatch.setattr("sys.argv", ["twin", "run", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == InputError.exit_code
    return capsys.readouterr().err


def test_options_of_other_studies_are_refused_with_all_else(tmp_path, monkeypatch, capsys):
    study = written(tmp_path, "theory: {looks: 0}\n")
    missing = ("--data-dir", tmp_path / "none")
    told = refused(monkeypatch, capsys, study, "--offline", "--replace", *missing)
    for part in ("4 faults", "--offline", "--replace", "--data-dir", "theory.looks"):
        assert part in told


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name: toy\ntheory: {}\n", "nothing"),
        ("schema: fingertwin/scene@2\nname: toy\n", "'fingertwin/scene@2'"),
        ("[1, 2]\n", "nothing"),
    ],
)
def test_a_study_of_no_kind_is_refused_as_such(text, found, tmp_path, monkeypatch, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    told = refused(monkeypatch, capsys, path)
    assert "1 fault:" in told
    for part in ("study.yaml: schema: ", "fingertwin/study@1", "fingertwin/metaloc@1", found):
        assert part in told


def test_versions_that_are_not_known_are_told_by_their_schema(tmp_path, monkeypatch, capsys):
    path = tmp_path / "study.yaml"
    path.write_text("schema: fingertwin/metaloc@9\nname: toy\ntheory: {}\n")
    assert "schema: expected 'fingertwin/metaloc@1'" in refused(monkeypatch, capsys, path)


def test_records_of_a_seed_are_kept_and_taken_up_again(tmp_path):
    path = seed_file(tmp_path, "theory", {"steps": 3}, 1)
    first = seed_records(path, lambda: [{"value": 1.0}])
    assert first == seed_records(path, lambda: pytest.fail("ran again"))
    others = [
        seed_file(tmp_path, "theory", {"steps": 4}, 1),
        seed_file(tmp_path, "theory", {"steps": 3}, 2),
        seed_file(tmp_path, "rooms", {"steps": 3}, 1),
    ]
    assert len({path, *others}) == 4


def test_a_seed_that_fails_leaves_no_file(tmp_path):
    path = seed_file(tmp_path, "theory", {}, 1)

    def fail():
        raise TwinError("broken")

    with pytest.raises(TwinError, match="broken"):
        seed_records(path, fail)
    assert not path.exists()


def made_up(settings, seed):
    """Records as `flows.metaloc.theory` gives some of them."""
    assert settings is not None
    return [
        {
            "study": "theory",
            "site": "path loss",
            "method": method,
            "seed": seed,
            "meta_steps": steps,
            "metric": "gradient_cosine",
            "value": 0.1 * seed + 0.01 * steps,
        }
        for method in ("maml", "maml_dg")
        for steps in (0, 10)
    ]


@pytest.mark.usefixtures("prefect_api")
def test_a_run_keeps_its_seeds_and_goes_on_after_a_failure(tmp_path, monkeypatch):
    study = load_metaloc_study(written(tmp_path, "theory: {}\nseeds: 3\n"))
    content = json.loads(canonical(study))
    theory = importlib.import_module("flows.metaloc.theory")
    ran = []

    def broken_at_two(settings, seed):
        ran.append(seed)
        if seed == 2:
            raise InputError([])
        return made_up(settings, seed)

    monkeypatch.setattr(theory, "run_seed", broken_at_two)
    with pytest.raises(InputError):
        metaloc(content, str(tmp_path / "out"), command="test")
    assert not (tmp_path / "out" / "report.html").exists()
    monkeypatch.setattr(
        theory, "run_seed", lambda settings, seed: ran.append(seed) or made_up(settings, seed)
    )
    report = Path(metaloc(content, str(tmp_path / "out"), command="test"))
    assert sorted(ran) == [0, 1, 2, 2]
    records = json.loads(report.with_name("records.json").read_text())
    assert [record["seed"] for record in records] == [seed for seed in range(3) for _ in range(4)]
    assert "test" in report.read_text()


def test_every_experiment_is_called_with_what_it_reads(monkeypatch, tmp_path):
    called = {}
    for path in library():
        study = load_metaloc_study(path)
        module = importlib.import_module(f"flows.metaloc.{study.experiment}")
        calls = called.setdefault(study.name, [])
        monkeypatch.setattr(module, "run_seed", lambda *given, own=calls: own.append(given) or [])
        scenes = [site.scene for site in study.sites]
        experiment_records(study.experiment, study.settings, scenes, 4, str(tmp_path))
        assert all(given[:2] == (study.settings, 4) for given in calls)
    assert [given[2:] for given in called["metaloc_days"]] == [
        (str(tmp_path), "hall"),
        (str(tmp_path), "lab"),
    ]
    assert [given[2:] for given in called["metaloc_layouts"]] == [(str(tmp_path),)]
    assert [given[2:] for given in called["metaloc_theory"]] == [()]
