"""The command line: what it refuses, in how many messages, with which exit code."""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from twin import doctor
from twin.cli import main as cli
from twin.errors import InputError, TraceError
from twin.measured.registry import WIFI_RTT_ROOMS

STUDY = {
    "schema": "fingertwin/study@1",
    "name": "small",
    "seed": 1,
    "rooms": [{"scene": "office_wing", "measured": "office"}],
    "twin": {"realisations": 2, "visits": 1, "snapshots": 1},
    "trace": {"max_depth": 1, "rays_per_round": 1000},
    "protocol": {"labels": [1, 3], "draws": 2, "seed": 1},
    "features": ["rss"],
    "learner_seeds": 1,
}
BOX = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TWIN_DATA_DIR", raising=False)


@pytest.fixture
def twin(monkeypatch, capsys):
    """Runs a command line; gives exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["twin", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def study(tmp_path):
    """Writes a study with changes; gives its path."""

    def write(**changes):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({**STUDY, **changes}))
        return path

    return write


def scene(folder: Path, **changes):
    path = folder / "scene.yaml"
    path.write_text(yaml.safe_dump({**BOX, **changes}))
    return path


def faults(error: str) -> list[str]:
    """Faults of a refusal, which is all that stands on the screen."""
    title, *lines = error.splitlines()
    assert title.startswith("twin: input refused, ")
    assert all(line.startswith("  - ") for line in lines)
    plural = "" if len(lines) == 1 else "s"
    assert title == f"twin: input refused, {len(lines)} fault{plural}:"
    return lines


def refused(twin, *arguments) -> list[str]:
    code, out, error = twin(*arguments)
    assert code == 2
    assert out == ""
    return faults(error)


def assert_untouched(out: Path) -> None:
    assert not out.exists()
    # Another test's server may be running; one for this output would stand in its folder.
    children = psutil.Process().children(recursive=True)
    assert [child for child in children if Path(child.cwd()).is_relative_to(out.parent)] == []


def test_version(twin):
    code, out, _ = twin("--version")
    assert code == 0
    assert out.startswith("fingertwin 0.")


def test_faults_of_a_study_come_together(twin, study, tmp_path):
    path = study(colour="blue", twin={**STUDY["twin"], "realisations": 1}, features=["smell"])
    out = tmp_path / "out"
    lines = refused(twin, "run", path, "--out", out, "--offline", "--data-dir", tmp_path / "none")
    assert len(lines) == 4
    assert all(f"{path}: " in line for line in lines[:3])
    text = "\n".join(lines)
    assert "colour: expected no such key (is it misspelt?)" in text
    assert "twin.realisations: expected greater than or equal to 2, found 1" in text
    assert "features.0: expected 'rss', 'rtt' or 'rss+rtt', found \"smell\"" in text
    assert f"--data-dir: expected an existing folder, found {tmp_path / 'none'}" in text
    assert_untouched(out)


def test_a_study_that_is_not_there(twin, tmp_path):
    (line,) = refused(twin, "run", tmp_path / "none.yaml", "--out", tmp_path / "out", "--offline")
    assert f"{tmp_path / 'none.yaml'}: expected a readable YAML file" in line
    assert_untouched(tmp_path / "out")


def test_a_data_folder_of_the_environment_that_is_not_there(twin, tmp_path, monkeypatch):
    monkeypatch.setenv("TWIN_DATA_DIR", str(tmp_path / "none"))
    (line,) = refused(twin, "demo", "--out", tmp_path / "out")
    assert line == f"  - TWIN_DATA_DIR: expected an existing folder, found {tmp_path / 'none'}"
    assert_untouched(tmp_path / "out")


def test_corrupt_data_and_an_unwritable_output_come_together(twin, tmp_path):
    rooms = tmp_path / "data" / WIFI_RTT_ROOMS.name
    rooms.mkdir(parents=True)
    whole = lzma.compress(b"X,Y\n" * 1000)
    (rooms / "database_office_train.csv.xz").write_bytes(whole[: len(whole) // 2])
    (rooms / "database_office_test.csv").write_text("X,Y\n1,2\n")
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    text = "\n".join(refused(twin, "demo", "--data-dir", tmp_path / "data", "--out", out))
    assert f"--out: expected a folder that can be written, found {out}" in text
    assert "database_office_train.csv.xz: expected a whole, readable file" in text
    assert "database_office_test.csv" in text
    assert "database_lecture_theatre_train.csv: expected the file, plain or with .xz" in text
    assert "AP_position.txt: expected the file" in text
    assert_untouched(out)


def test_an_output_that_holds_something_else(twin, study, tmp_path):
    store = tmp_path / "out" / "store.zarr"
    store.mkdir(parents=True)
    (store / "thesis.txt").write_text("not ours")
    (line,) = refused(twin, "run", study(), "--out", tmp_path / "out", "--offline")
    assert f"{store}: expected a store of ours" in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["store.zarr"]
    assert (store / "thesis.txt").read_text() == "not ours"


def test_rooms_that_do_not_fit_the_study(twin, study, tmp_path):
    protocol = {**STUDY["protocol"], "labels": [1, 100_000]}
    path = study(rooms=[{"scene": str(scene(tmp_path))}], protocol=protocol)
    text = "\n".join(refused(twin, "run", path, "--out", tmp_path / "out", "--offline"))
    missing = f"{tmp_path / 'perturbation.yaml'}: expected a perturbation table"
    assert f"{missing} (perturbation.yaml) beside the scene, found nothing there. docs/" in text
    rooms = [{"scene": "office_wing"}, {"scene": "office_wing_of_ours"}]
    text = "\n".join(refused(twin, "run", study(rooms=rooms, protocol=protocol), "--offline"))
    assert "office_wing_of_ours" in text
    assert "study: protocol.labels: expected at most" in text


def test_a_scene_has_points_enough_for_a_task(twin, study, tmp_path):
    table = {"schema": "fingertwin/perturbation@1", "scene": "box", "quantities": []}
    height = {
        "name": "height",
        "path": "room.height_m",
        "apply": "add",
        "distribution": {"kind": "uniform", "low": 0, "high": 0.1},
        "unit": "m",
        "description": "made up",
    }
    table["quantities"] = [height]
    (tmp_path / "perturbation.yaml").write_text(yaml.safe_dump(table))
    path = study(rooms=[{"scene": str(scene(tmp_path))}])
    (line,) = refused(twin, "run", path, "--out", tmp_path / "out", "--offline")
    assert "study: rooms.0.scene: expected a scene with at least" in line
    assert " in box. Make the receivers' pitch_m smaller." in line
    assert_untouched(tmp_path / "out")


BAD_SCENES = {
    "access point outside": (
        {"access_points": [{**BOX["access_points"][0], "position_m": [99.0, 1.0, 2.0]}]},
        "position_m",
    ),
    "material outside its range": ({"frequency_ghz": 300.0}, "materials.concrete.itu"),
    "receivers inside the wall": (
        {"receivers": [{**BOX["receivers"][0], "area_m": [[0, 1], [5, 1], [5, 3], [0, 3]]}]},
        "receivers",
    ),
}


@pytest.mark.parametrize("what", BAD_SCENES)
def test_scene_check_refuses(twin, tmp_path, what):
    change, key = BAD_SCENES[what]
    path = scene(tmp_path, **change)
    lines = refused(twin, "scene", "check", path)
    assert any(str(path) in line and key in line for line in lines)
    assert refused(twin, "scene", "show", path, "--output", tmp_path / "plan.png")
    assert not (tmp_path / "plan.png").exists()


def test_library_scenes_are_listed_checked_and_drawn(twin, tmp_path):
    code, out, _ = twin("scene", "list")
    names = [line.split()[0] for line in out.splitlines()]
    assert code == 0
    assert {"lecture_theatre", "office_wing"} <= set(names)
    code, out, _ = twin("scene", "check", "--all")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == names
    assert all(": 0 errors, " in line for line in out.splitlines())
    plan = tmp_path / "plan.png"
    assert twin("scene", "show", names[0], "--output", plan)[0] == 0
    assert plan.read_bytes().startswith(b"\x89PNG")
    (line,) = refused(twin, "scene", "check", "atlantis")
    assert "atlantis" in line


def test_a_check_says_all_it_finds_also_as_json(twin, tmp_path):
    path = scene(tmp_path)
    code, out, _ = twin("scene", "check", path)
    assert code == 0
    assert out.splitlines()[-1].startswith("0 errors, ")
    code, out, _ = twin("scene", "check", path, "--json")
    told = json.loads(out)[str(path)]
    assert code == 0
    assert {finding["level"] for finding in told} <= {"warning", "note"}
    assert any(finding["key"] == "triangles" for finding in told)
    bad = scene(tmp_path, frequency_ghz=300.0)
    code, out, error = twin("scene", "check", bad, "--json")
    assert code == 2
    assert [f["key"] for f in json.loads(out)[str(bad)]] == ["materials.concrete.itu"]
    assert len(faults(error)) == 1


def test_a_check_is_of_one_scene_or_of_all(twin):
    assert "or --all" in refused(twin, "scene", "check")[0]
    assert "found both" in refused(twin, "scene", "check", "office_wing", "--all")[0]


def test_a_scene_is_made_from_a_template_and_never_over_another(twin, tmp_path):
    folder = tmp_path / "mine"
    made = ("scene", "new", "corridor", "--to", folder, "--seed", 3, "--size", "length_m=20")
    code, out, _ = twin(*made)
    assert code == 0
    assert out.startswith(f"Scene: {folder} (")
    assert refused(twin, *made)
    assert "NAME=NUMBER" in refused(twin, *made[:3], "--to", tmp_path / "x", "--size", "long")[0]
    assert "corridor, factory" in refused(twin, "scene", "new", "villa", "--to", tmp_path / "x")[0]
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_no_name_gives_one_and_says_so(twin, tmp_path):
    code, out, _ = twin("scene", "new", "hall", "--to", tmp_path / "My Hall", "--size", "people=0")
    assert code == 0
    assert "Name: my_hall, as 'My Hall' is none for a scene" in out.splitlines()
    plain = ("scene", "new", "hall", "--size", "people=0")
    assert "Name:" not in twin(*plain, "--to", tmp_path / "hall")[1]
    assert "Name:" not in twin(*plain, "--to", tmp_path / "No Name", "--name", "hall")[1]
    (line,) = refused(twin, *plain, "--to", tmp_path / "x", "--name", "My Hall")
    assert "name: expected lower-case letters, digits and _, a letter first, found" in line


def test_a_map_blames_the_options_of_the_command_line(twin, tmp_path):
    path = scene(tmp_path)
    out = ("--output", tmp_path / "map.zarr")
    (line,) = refused(twin, "scene", "map", path, *out, "--height", 9)
    expected = "twin scene map: --height: expected 0.05 to 2.45 m in a room 2.5 m high, found 9 m"
    assert line == f"  - {expected}"
    (line,) = refused(twin, "scene", "map", path, *out, "--storey", "attic")
    assert line == "  - twin scene map: --storey: expected room, found attic"
    (line,) = refused(twin, "scene", "view", path, "--storey", "attic")
    assert line == "  - twin scene view: --storey: expected room, found attic"
    (line,) = refused(twin, "scene", "view", path, "--storey", "room", "--no-radio")
    assert "--storey: expected a map (no --no-radio)" in line
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scene.yaml"]


def test_a_page_has_receivers_under_their_own_numbers(twin, tmp_path):
    page = tmp_path / "page.html"
    options = ("--cells", 20, "--receivers", 3, "--max-depth", 0, "--storey", "room")
    assert twin("scene", "view", scene(tmp_path), "--output", page, *options)[0] == 0
    text = page.read_text(encoding="utf-8")
    # Every seventh of twenty.
    assert '"numbers":[0,7,14],"areas":["grid","grid","grid"]' in text


def test_imports_take_the_options_of_their_kind_of_file(twin, tmp_path):
    to = ("--to", tmp_path / "x")
    plan = tmp_path / "plan.geojson"
    plan.write_text(
        json.dumps(
            {
                "type": "FeatureCollection",
                "features": [
                    {
                        "type": "Feature",
                        "properties": {},
                        "geometry": {
                            "type": "Polygon",
                            "coordinates": [[[0, 0], [30, 0], [30, 20], [0, 20], [0, 0]]],
                        },
                    }
                ],
            }
        )
    )
    code, out, _ = twin("scene", "import", plan, *to, "--crs", "none", "--height", 3)
    assert code == 0
    assert out.startswith(f"Scene: {(tmp_path / 'x').resolve()} (")
    assert "Name:" not in out
    flat = ("--to", tmp_path / "Flat-1", "--crs", "none", "--height", 3)
    assert "Name: flat_1, as 'Flat-1' is none" in twin("scene", "import", plan, *flat)[1]
    other = ("--to", tmp_path / "y")
    assert "--y-up" in refused(twin, "scene", "import", plan, *other, "--y-up")[0]
    assert "--as" in refused(twin, "scene", "import", tmp_path / "plan.tif", *other)[0]
    assert "munich" in refused(twin, "scene", "import", "nowhere", *other)[0]
    area = ("scene", "import", tmp_path / "area.osm", *other, "--download")
    assert "--bounds" in refused(twin, *area)[0]
    assert not (tmp_path / "y").exists()


def test_a_scene_of_version_1_is_written_as_one_of_version_2(twin, tmp_path):
    (area,) = BOX["receivers"]
    old = {key: area[key] for key in ("area_m", "pitch_m", "height_m")}
    path = scene(tmp_path, schema="fingertwin/scene@1", receivers=old)
    new = tmp_path / "new.yaml"
    assert twin("scene", "migrate", path, "--output", new)[0] == 0
    assert yaml.safe_load(new.read_text()) == BOX
    assert refused(twin, "scene", "migrate", path, "--output", new)


def test_exports_are_written_once(twin, tmp_path):
    target = tmp_path / "box.glb"
    assert twin("scene", "export", scene(tmp_path), "--to", target, "--as", "gltf")[0] == 0
    assert target.read_bytes().startswith(b"glTF")
    assert refused(twin, "scene", "export", scene(tmp_path), "--to", target, "--as", "gltf")


def test_draws_are_shown_and_vanish_with_severity(twin):
    arguments = ("perturb", "draw", "office_wing", "--seed", 2, "--json")
    rows = json.loads(twin(*arguments)[1])
    assert all(row["realised"] is not None for row in rows)
    assert any(row["realised"] != row["declared"] for row in rows)
    still = json.loads(twin(*arguments, "--severity", 0)[1])
    assert all(row["realised"] == row["declared"] for row in still)
    assert "ap_height" in twin("perturb", "draw", "office_wing")[1]


def test_a_plan_that_cannot_be_written(twin, tmp_path):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "plan.png"
    (line,) = refused(twin, "scene", "show", "office_wing", "--output", target)
    assert str(target) in line


def keys_known(schema: dict, part: dict, content: object) -> bool:
    """Whether every key of some content is one of its schema."""
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
    if isinstance(content, list):
        return all(keys_known(schema, part.get("items", {}), item) for item in content)
    if isinstance(content, dict) and "properties" in part:
        known = part["properties"]
        return all(k in known and keys_known(schema, known[k], v) for k, v in content.items())
    return True


def test_schemas_describe_the_files_that_ship(twin, tmp_path):
    folder = tmp_path / "new" / "schemas"
    assert twin("schema", folder)[0] == 0
    root = Path(cli.__file__).parents[2]
    shipped = {
        "scene": root / "scenes" / "office_wing" / "scene.yaml",
        "perturbation": root / "scenes" / "office_wing" / "perturbation.yaml",
        "study": root / "studies" / "demo.yaml",
        "metaloc-study": root / "studies" / "metaloc_days_paper.yaml",
    }
    for name, path in shipped.items():
        schema = json.loads((folder / f"{name}.schema.json").read_text())
        content = yaml.safe_load(path.read_text())
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) <= set(content)
        assert keys_known(schema, schema, content)
        assert not keys_known(schema, schema, {**content, "colour": "blue"})
    (tmp_path / "file").touch()
    (line,) = refused(twin, "schema", tmp_path / "file" / "schemas")
    assert str(tmp_path / "file" / "schemas") in line


@pytest.mark.parametrize("command", ["digest", "info", "verify"])
def test_stores_that_are_none(twin, tmp_path, command):
    (line,) = refused(twin, "store", command, tmp_path / "none")
    assert line == f"  - {tmp_path / 'none'}: expected a store, found nothing there"
    (tmp_path / "thesis.txt").write_text("not ours")
    (line,) = refused(twin, "store", command, tmp_path)
    assert f"{tmp_path}: expected a store of ours" in line


@pytest.mark.parametrize("fit", [True, False])
def test_doctor(twin, monkeypatch, fit):
    row = doctor.Row("libLLVM", "17", fit, "install LLVM 19")
    monkeypatch.setattr(doctor, "examine", lambda _: doctor.Report((row,)))
    code, out, _ = twin("doctor")
    assert code == (0 if fit else 1)
    assert ("cure: install LLVM 19" in out) != fit


def test_errors_are_a_message_and_their_exit_code(twin, monkeypatch):
    def fail(_):
        raise TraceError("the solver lost paths")

    monkeypatch.setattr("twin.store.verify.digest", fail)
    assert twin("store", "digest", "any") == (1, "", "twin: the solver lost paths\n")
    assert InputError([]).exit_code == 2


def test_an_unknown_option_is_refused(twin):
    code, _, error = twin("demo", "--colour", "blue")
    assert code == 2
    assert "--colour" in error
    assert "Traceback" not in error
