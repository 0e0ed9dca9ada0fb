"""Import of floor plans: one sheet a wall, doors, places, and plans that are none."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import shapely

from twin.errors import InputError
from twin.scene.check import findings
from twin.scene.geometry import build
from twin.scene.importers import plan_file
from twin.scene.importers.floor_plan import import_floor_plan
from twin.scene.importers.placing import fitting_grid, grid, spread
from twin.scene.importers.plan_features import read_plan
from twin.scene.importers.plan_geometry import Tolerances, divided
from twin.scene.importers.plan_options import PlanOptions
from twin.scene.library import scene_path
from twin.scene.read import read_scene
from twin.scene.receivers import receiver_points


def box(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def feature(coordinates, kind="Polygon", **properties):
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def unit(*corners, **properties):
    return feature([box(*corners)], **properties)


OUTLINE = unit(0, 0, 24, 12, outline=True)
# Two shops 5 cm apart, the second drawn twice; a void; a kiosk in the hall; a shelf too small.
SHOPS = [
    unit(0, 7, 8, 12, name="left"),
    unit(8.05, 7.02, 16, 12, name="right"),
    unit(8.05, 7.02, 16, 12, name="right again"),
    unit(16, 7, 20, 11.9, name="zhongkong"),
    unit(9, 3, 12, 5, name="kiosk", height=1.2, material="wood"),
    unit(20, 2, 20.5, 3),
]


def write(folder, *features, name="plan.geojson"):
    path = folder / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def imported(folder, *features, **given):
    given = {"crs": "none", "options": PlanOptions(height_m=3.0)} | given
    source = write(folder, *features)
    return read_scene(
        import_floor_plan(source, folder / "scene", name="plan", **given) / "scene.yaml"
    )


def segments(scene):
    return [
        shapely.LineString(ends)
        for wall in scene.walls
        for ends in zip(wall.path_m, wall.path_m[1:], strict=False)
    ]


def test_neighbours_share_one_sheet(tmp_path):
    scene = imported(tmp_path, OUTLINE, *SHOPS)
    shared = [wall for wall in scene.walls if wall.name.startswith("partition")]
    assert len(shared) == 1
    assert shared[0].material == "plasterboard"
    across = np.array(shared[0].path_m)
    assert np.all(np.abs(across[:, 0] - 8.0) <= 0.06)
    assert sorted(across[:, 1]) == pytest.approx([7.0, 12.0], abs=0.03)
    lines = segments(scene)
    assert shapely.union_all(lines).length == pytest.approx(sum(line.length for line in lines))
    for i, line in enumerate(lines):
        assert not any(line.crosses(other) for other in lines[i + 1 :])
    said = " ".join(scene.assumptions)
    assert "come twice in the plan and count once: 1." in said
    assert "under 1 m2, left out: 1." in said
    assert "edges of 3 units" in said


def test_outline_edges_are_the_rooms_own_walls(tmp_path):
    scene = imported(tmp_path, OUTLINE, *SHOPS)
    room = shapely.Polygon(scene.room.outline_m)
    # It bends to the void's edge, 10 cm away, as that is taken for the same.
    assert room.symmetric_difference(shapely.box(0, 0, 24, 12)).area == pytest.approx(0.4)
    assert not any(line.within(room.exterior) for line in segments(scene))


def test_open_areas_have_no_walls_and_no_receivers(tmp_path):
    scene = imported(tmp_path, OUTLINE, *SHOPS)
    void = shapely.box(16.1, 7.1, 19.9, 11.7)
    assert not any(line.intersects(void) for line in segments(scene))
    points = shapely.points(receiver_points(scene)[:, :2])
    assert not shapely.intersects(void, points).any()
    marked = [*SHOPS[:3], unit(16, 7, 20, 12, open=True)]
    (tmp_path / "marked").mkdir()
    assert len(segments(imported(tmp_path / "marked", OUTLINE, *marked))) == 4


def test_a_door_stands_open_in_each_longest_front(tmp_path):
    scene = imported(tmp_path, OUTLINE, *SHOPS)
    # The kiosk's walls are too low for a door.
    assert [opening.state for opening in scene.openings] == ["open", "open"]
    walls = {wall.name: wall for wall in scene.walls}
    for opening in scene.openings:
        path = np.array(walls[opening.wall].path_m)
        start, end = path[opening.segment : opening.segment + 2]
        length = float(np.hypot(*(end - start)))
        assert opening.at_m == pytest.approx((length - 2.0) / 2.0, abs=0.02)
        assert opening.width_m == 2.0
        assert start[1] == pytest.approx(7.0, abs=0.03)
        assert length == pytest.approx(8.0, abs=0.06)
    (tmp_path / "shut").mkdir()
    shut = imported(
        tmp_path / "shut", OUTLINE, *SHOPS, options=PlanOptions(height_m=3.0, door_width_m=0.0)
    )
    assert shut.openings == ()
    assert "Doors" not in " ".join(shut.assumptions)


def test_heights_and_materials_of_the_plan_are_kept(tmp_path):
    scene = imported(tmp_path, OUTLINE, *SHOPS)
    low = [wall for wall in scene.walls if wall.height_m is not None]
    assert [(wall.height_m, wall.material) for wall in low] == [(1.2, "wood")]
    assert shapely.Polygon(low[0].path_m).equals(shapely.box(9, 3, 12, 5))


def test_the_scene_passes_its_check_and_can_be_built(tmp_path):
    scene = imported(tmp_path, OUTLINE, *SHOPS)
    found = findings(scene, "plan")
    assert [finding for finding in found if finding.level != "note"] == []
    assert sum(len(surface.faces) for surface in build(scene)) < 100
    points = receiver_points(scene)
    assert 500 < len(points) <= 2_000
    assert len(scene.access_points) == 1
    assert (tmp_path / "scene" / "README.md").read_text().startswith("# Plan, imported from")


def test_the_same_plan_gives_the_same_scene(tmp_path):
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        imported(tmp_path / name, OUTLINE, *SHOPS)
        texts.append((tmp_path / name / "scene" / "scene.yaml").read_bytes())
    assert texts[0] == texts[1]


def test_the_largest_part_is_the_room_and_its_hole_a_wall(tmp_path):
    parts = [[box(0, 0, 20, 12), box(8, 4, 12, 8)], [box(30, 0, 36, 6)]]
    outline = feature(parts, "MultiPolygon", category="floor")
    scene = imported(tmp_path, outline, unit(31, 1, 35, 5, name="away"))
    assert shapely.Polygon(scene.room.outline_m).equals(shapely.box(0, 0, 20, 12))
    assert [shapely.Polygon(wall.path_m).bounds for wall in scene.walls] == [(8, 4, 12, 8)]
    assert scene.openings == ()
    said = " ".join(scene.assumptions)
    assert "Of the outline's 2 parts only the largest" in said
    assert "1 holes became inner walls" in said
    assert "outside the outline, left out: 1." in said


def test_crossing_outlines_and_units_are_repaired_and_it_is_said(tmp_path):
    bow = [[2, 2], [8, 8], [8, 2], [2, 8], [2, 2]]
    scene = imported(tmp_path, OUTLINE, feature([bow]))
    assert "1 polygons that cross themselves were repaired" in " ".join(scene.assumptions)
    assert shapely.union_all(segments(scene)).length == pytest.approx(
        shapely.make_valid(shapely.Polygon(bow)).length, abs=0.5
    )


def test_drawn_lines_meet_units_outline_and_each_other(tmp_path):
    lines = [
        feature([[16.1, 7.05], [16.1, 0.05]], "LineString", material="brick"),
        feature([[16.0, 3.0], [24.0, 3.1]], "LineString", height=2.0),
        feature([[0.02, 0.0], [24.0, 0.03]], "LineString", name="along the outline"),
        feature([[30, 0], [40, 0]], "LineString", name="outside"),
        feature([[20.0, 0.1], [20.0, 6.0]], "LineString", name="crosses the second"),
    ]
    scene = imported(tmp_path, OUTLINE, *SHOPS[:3], *lines)
    drawn = {wall.name: wall for wall in scene.walls if wall.name.startswith("drawn")}
    brick = next(wall for wall in drawn.values() if wall.material == "brick")
    assert shapely.LineString(brick.path_m).length == pytest.approx(7.0, abs=0.1)
    low = [wall for wall in drawn.values() if wall.height_m == 2.0]
    assert sum(shapely.LineString(wall.path_m).length for wall in low) == pytest.approx(8, abs=0.2)
    # Cut where another crosses it, so that both have a corner there.
    corners = {tuple(point) for wall in drawn.values() for point in wall.path_m}
    assert any(abs(x - 20.0) < 0.01 and abs(y - 3.05) < 0.05 for x, y in corners)
    everywhere = segments(scene)
    for i, line in enumerate(everywhere):
        assert not any(line.crosses(other) for other in everywhere[i + 1 :])
    assert len(drawn) == 3
    assert not [f for f in findings(scene, "plan") if f.level == "error"]


def test_many_rectangles_of_one_size_are_bays(tmp_path):
    bays = [unit(2 * i, 0, 2 * i + 2, 5) for i in range(50)]
    outline = unit(0, 0, 100, 20, outline=True)
    scene = imported(tmp_path, outline, *bays, unit(0, 15, 20, 20, name="shop"))
    assert len(segments(scene)) == 2
    assert "taken for bays of a car park: 50." in " ".join(scene.assumptions)


def test_degrees_become_the_floors_metres(tmp_path):
    def turned(west, south, east, north):
        return box(
            *(120.0 + west / 1e5, 30.0 + south / 2e5, 120.0 + east / 1e5, 30.0 + north / 2e5)
        )

    info = tmp_path / "floor_info.json"
    info.write_text(json.dumps({"map_info": {"width": 48.0, "height": 36.0}}))
    outline = feature([turned(0, 0, 24, 12)], outline=True)
    scene = imported(
        tmp_path, outline, feature([turned(0, 6, 12, 12)]), floor_info=info, crs="EPSG:4326"
    )
    assert shapely.Polygon(scene.room.outline_m).bounds == pytest.approx((0, 0, 48, 36), abs=2e-3)
    corners = {tuple(np.round(point, 2)) for wall in scene.walls for point in wall.path_m}
    assert corners == {(0.0, 18.0), (24.0, 18.0), (24.0, 36.0)}


def test_degrees_without_a_size_are_projected(tmp_path):
    west, south = 9.0, 48.5
    metres = 111_320.0
    across = metres * np.cos(np.deg2rad(south))
    outline = [[west + x / across, south + y / metres] for x, y in box(0, 0, 40, 30)]
    scene = imported(tmp_path, feature([outline], outline=True), crs="EPSG:4326")
    size = np.ptp(np.array(scene.room.outline_m), axis=0)
    assert size == pytest.approx([40, 30], rel=0.01)
    assert "projected to EPSG:32632" in scene.assumptions[0]
    low = np.min(np.array(scene.room.outline_m), axis=0)
    assert (low >= 0).all()
    assert (low < 1.5).all()


def test_an_outline_that_is_not_marked_is_found(tmp_path):
    plain = {key: value for key, value in OUTLINE.items() if key != "properties"}
    plan = read_plan(write(tmp_path, SHOPS[0], plain), floor_info=None, crs="none")
    assert plan.outline.area == 24 * 12
    assert [area.name for area in plan.areas] == ["left"]


def without(key, **changed):
    return {k: v for k, v in {**OUTLINE, **changed}.items() if k != key}


BROKEN = {
    "no outline": ([unit(0, 0, 5, 5), unit(10, 0, 15, 5)], "one outline of the floor"),
    "two outlines": ([OUTLINE, OUTLINE], "2 (features 0, 1)"),
    "no area": ([feature([box(0, 0, 0, 0)], outline=True)], "2 to 5000 m each way"),
    "flat": ([feature([[[0, 0], [9, 9], [18, 18], [0, 0]]], outline=True)], "an outline with an"),
    "tiny": ([unit(0, 0, 1, 1, outline=True)], "an outline of 2 to 5000 m each way"),
    "in millimetres": ([unit(0, 0, 24_000, 12_000, outline=True)], "degrees, cm or mm"),
    "a point": ([OUTLINE, feature([1, 2], "Point")], "features.1.geometry: expected a geometry of"),
    "no geometry": ([OUTLINE, {"type": "Feature"}], "features.1.geometry"),
    "text": ([OUTLINE, feature([[["a", 1], [2, 2], [3, 1]]])], "features.1.geometry.coordinates"),
    "two corners": ([OUTLINE, feature([[[0, 0], [1, 1]]])], "features.1.geometry.coordinates"),
    "no rings": ([OUTLINE, feature([])], "features.1.geometry.coordinates"),
    "numbers": ([OUTLINE, feature([[1, 2, 3]])], "features.1.geometry.coordinates"),
    "height": ([OUTLINE, unit(1, 1, 5, 5, height=900)], "features.1.properties.height"),
    "no height": ([OUTLINE, unit(1, 1, 5, 5, height="tall")], "features.1.properties.height"),
    "material": ([OUTLINE, unit(1, 1, 5, 5, material="cheese")], "material: expected one of"),
    "material's kind": ([OUTLINE, unit(1, 1, 5, 5, material=3)], "features.1.properties.material"),
    "full": ([OUTLINE, unit(0, 0, 24, 12)], "open floor more than 0.6 m wide"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_plan_is_refused(tmp_path, name):
    features, message = BROKEN[name]
    with pytest.raises(InputError) as refused:
        imported(tmp_path, *features)
    assert message in str(refused.value)
    assert not (tmp_path / "scene").exists()


def test_all_faults_come_in_one_message(tmp_path):
    info = tmp_path / "info.json"
    info.write_text('{"map_info": {"width": -3}}')
    source = write(tmp_path, OUTLINE, feature([1], "Point"), unit(1, 1, 2, 2, height=-1))
    with pytest.raises(InputError) as refused:
        import_floor_plan(source, tmp_path / "scene", name="plan", floor_info=info)
    assert [fault.key for fault in refused.value.faults] == [
        "features.1.geometry",
        "features.2.properties.height",
        "map_info.width",
        "map_info.height",
    ]
    many = [unit(1, 1, 2, 2, height=-1)] * 50
    with pytest.raises(InputError, match="30 more") as refused:
        read_plan(write(tmp_path, OUTLINE, *many), floor_info=None, crs="none")
    assert len(refused.value.faults) == 21


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "valid JSON"),
        ("[" * 100_000, "valid JSON"),
        ("[1, 2]", "a GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": []}', "a GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": {"a": 1}}', "a GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": [NaN]}', "NaN is no number"),
        ('{"a": 1' + "0" * 5_000 + "}", "valid JSON"),
        ("\x00\x01", "valid JSON"),
    ],
)
def test_what_is_no_geojson_is_refused(tmp_path, text, message):
    source = tmp_path / "plan.geojson"
    source.write_text(text)
    with pytest.raises(InputError, match=message):
        read_plan(source, floor_info=None, crs="none")


def test_sizes_are_bounded(tmp_path, monkeypatch):
    source = write(tmp_path, OUTLINE, *SHOPS)
    for name, message in (
        ("MAX_FEATURES", "at most 3 features"),
        ("MAX_CORNERS", "at most 3 corners"),
        ("MAX_FILE_BYTES", "a larger one"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(plan_file, name, 3)
            with pytest.raises(InputError, match=message):
                read_plan(source, floor_info=None, crs="none")
    with pytest.raises(InputError, match="a readable file"):
        read_plan(tmp_path / "none.json", floor_info=None, crs="none")


@pytest.mark.parametrize(
    ("corners", "crs", "message"),
    [
        ((0, 0, 24, 12), "EPSG:4326", "a floor within 0.1 degrees"),
        ((48.5, 99.0, 48.5003, 99.0002), "EPSG:4326", "Longitude comes first"),
        ((0, 0, 24, 12), "EPSG:2225", "a system in metres"),
        ((0, 0, 24, 12), "mars", "a coordinate reference system by name"),
    ],
)
def test_coordinates_have_to_be_what_is_said(tmp_path, corners, crs, message):
    source = write(tmp_path, unit(*corners, outline=True))
    with pytest.raises(InputError, match=message):
        read_plan(source, floor_info=None, crs=crs)


def test_options_are_checked_before_any_work(tmp_path):
    bad = PlanOptions(
        height_m=0.5, access_points=0, most_receivers=0, tolerances=Tolerances(snap_m=5.0)
    )
    with pytest.raises(InputError) as refused:
        import_floor_plan(tmp_path / "none", tmp_path / "scene", name="plan", options=bad)
    keys = {fault.key for fault in refused.value.faults}
    assert keys == {"height_m", "door_height_m", "access_points", "most_receivers", "snap_m"}
    high = PlanOptions(frequency_ghz=150.0, outline_material="brick")
    with pytest.raises(InputError, match="inside the band of ITU-R"):
        imported(tmp_path, OUTLINE, options=high)


def test_grids_and_spread_places():
    room = shapely.box(-1.0, -1.0, 1.0, 1.0)
    assert grid(room, 0.5).tolist()[0] == [-0.5, -0.5]
    assert len(grid(room, 0.5)) == 9
    points, pitch = fitting_grid(room, 9)
    assert (len(points), pitch) == (9, 0.5)
    assert len(fitting_grid(shapely.box(0, 0, 1e5, 1e5), 100)[0]) <= 100
    assert grid(shapely.Polygon(), 1.0).shape == (0, 2)
    chosen = spread(grid(shapely.box(-0.5, -0.5, 10.5, 2.5), 1.0), 3, shapely.Point(0.0, 0.0))
    assert chosen.tolist() == [[10.0, 2.0], [0.0, 0.0], [5.0, 1.0]]
    assert len(spread(points, 99, shapely.Point(0, 0))) == 9


REAL = Path(os.environ.get("TWIN_DATA_DIR", "")) / "indoor_location_competition20"


@pytest.fixture(scope="module")
def floors(tmp_path_factory):
    """Folders of floor maps, in the official layout."""
    root = REAL
    if not (root / "data").is_dir():
        root = tmp_path_factory.mktemp("maps")
        with tarfile.open(REAL / "floor_maps_geojson.tar.xz") as archive:
            archive.extractall(root, filter="data")
    return sorted(path.parent for path in root.glob("data/*/*/geojson_map.json"))


needs_floors = pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR")
    or not ((REAL / "data").is_dir() or (REAL / "floor_maps_geojson.tar.xz").is_file()),
    reason="needs TWIN_DATA_DIR with indoor_location_competition20",
)


@needs_floors
def test_all_floors_of_the_malls_become_noded_walls(floors):
    measured = np.load(REAL / "ilc20_wifi_scans.npz")
    names = [str(name).replace("_", "/") for name in measured["floor_names"]]
    assert len(floors) == 14
    on_floor, walked = 0, 0
    for folder in floors:
        plan = read_plan(
            folder / "geojson_map.json", floor_info=folder / "floor_info.json", crs="EPSG:4326"
        )
        floor = divided(plan, Tolerances())
        room = shapely.Polygon(floor.outline)
        assert room.is_valid
        lines = np.array(
            [
                shapely.LineString(ends)
                for sheet in floor.sheets
                for ends in zip(sheet.path, sheet.path[1:], strict=False)
            ]
        )
        assert len(lines) > 400
        around = room.buffer(1e-3)
        shapely.prepare(around)
        assert shapely.covers(around, lines).all()
        tree = shapely.STRtree(lines)
        for relation in ("crosses", "overlaps", "contains_properly"):
            assert len(tree.query(lines, predicate=relation)[0]) == 0
        number = names.index("/".join(folder.parts[-2:]))
        places = shapely.points(measured["wp_xy"][measured["wp_floor"] == number])
        inside = shapely.contains(room, places)
        on_floor += int(inside.sum())
        walked += int(shapely.contains(floor.walkable, places[inside]).sum())
    # Of 7,025 surveyed places the rest lie in second parts of outlines.
    assert on_floor == 6841
    assert walked / on_floor > 0.985


@needs_floors
def test_the_librarys_mall_floor_is_what_the_importer_writes(floors, tmp_path):
    library = scene_path("mall_floor")
    known = read_scene(library)
    folder = next(path for path in floors if path.parts[-2:] == ("site1", "F4"))
    made = import_floor_plan(
        folder / "geojson_map.json",
        tmp_path / "scene",
        name=known.name,
        title=known.title,
        credit=known.source,
        floor_info=folder / "floor_info.json",
    )
    assert (made / "scene.yaml").read_text() == library.read_text()
    assert library.stat().st_size < 300_000


def test_the_librarys_mall_floor_has_no_geometry_to_warn_of():
    scene = read_scene(scene_path("mall_floor"))
    warned = [finding for finding in findings(scene, "mall_floor") if finding.level != "note"]
    # That much lies behind more walls than a path passes is what so large a floor is like.
    assert all("max_depth" in finding.fault.expected for finding in warned)
    assert not any(finding.level == "error" for finding in warned)
    assert len(receiver_points(scene)) == 1922
