"""Import of street maps: blocks, roofs, roads, places, and maps that are none."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from math import cos, radians
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
import shapely

from twin.errors import DownloadError, InputError
from twin.scene.check import findings
from twin.scene.geometry import build
from twin.scene.importers import street_file
from twin.scene.importers.overpass import fetch_street_map
from twin.scene.importers.street_file import MapFeature, read_street_map
from twin.scene.importers.street_footprints import blocks
from twin.scene.importers.street_map import import_street_map
from twin.scene.importers.street_options import StreetOptions
from twin.scene.importers.street_roads import carriageways
from twin.scene.read import read_scene
from twin.scene.receivers import receiver_points

WEST, SOUTH = 9.0, 48.5
METRE = 1.0 / 111_320.0
HOUSE = {"building": "yes"}


class Town:
    """An extract in the making, in metres from its corner."""

    def __init__(self):
        self.nodes, self.ways, self.relations = [], [], []

    def way(self, points, closed=True, **tags):
        first = len(self.nodes) + 1
        self.nodes += points
        refs = [*range(first, first + len(points)), *([first] if closed else [])]
        self.ways.append((refs, {key.replace("__", ":"): v for key, v in tags.items()}))
        return len(self.ways)

    def box(self, west, south, east, north, **tags):
        ring = [(west, south), (east, south), (east, north), (west, north)]
        return self.way(ring, **({"building": "yes"} | tags))

    def road(self, *points, **tags):
        return self.way(list(points), closed=False, **tags)

    def text(self):
        lines = ['<osm version="0.6">']
        for i, (x, y) in enumerate(self.nodes, 1):
            lon, lat = WEST + x * METRE / cos(radians(SOUTH)), SOUTH + y * METRE
            lines.append(f'<node id="{i}" lat="{lat:.9f}" lon="{lon:.9f}"/>')
        for i, (refs, tags) in enumerate(self.ways, 1):
            inside = "".join(f'<nd ref="{ref}"/>' for ref in refs) + _tags(tags)
            lines.append(f'<way id="{i}">{inside}</way>')
        for i, (members, tags) in enumerate(self.relations, 1):
            inside = "".join(
                f'<member type="way" ref="{ref}" role="{role}"/>' for ref, role in members
            )
            lines.append(f'<relation id="{i}">{inside}{_tags(tags)}</relation>')
        return "\n".join([*lines, "</osm>"])


def _tags(tags):
    return "".join(f"<tag k={quoteattr(k)} v={quoteattr(v)}/>" for k, v in tags.items())


def town():
    made = Town()
    made.box(0, 0, 20, 10, height="12", roof__shape="gabled", roof__height="3")
    made.box(20, 0, 35, 10, building__levels="4", building__material="brick")
    made.box(0, 40, 12, 52, height="10 m", roof__shape="pyramidal", roof__height="4")
    made.box(45, 0, 55, 10, building="roof")
    outer = made.way([(30, 40), (70, 40), (70, 80), (30, 80)])
    inner = made.way([(40, 50), (60, 50), (60, 70), (40, 70)])
    tags = {"type": "multipolygon", "building": "yes", "height": "15"}
    made.relations.append(([(outer, "outer"), (inner, "inner")], tags))
    made.way([(80, 40), (100, 60), (100, 40), (80, 60)], **HOUSE)
    made.road((-10, 25), (110, 25), highway="residential", lanes="2")
    made.road((75, 20), (75, 90), highway="service")
    made.road((0, 30), (100, 30), highway="footway")
    made.road((0, 15), (100, 15), highway="primary", tunnel="yes")
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "town.osm"
    path.write_text(town().text())
    return path


@pytest.fixture(scope="module")
def scene(source, tmp_path_factory):
    to = tmp_path_factory.mktemp("scenes") / "town"
    return read_scene(import_street_map(source, to, name="town") / "scene.yaml")


def plans(scene):
    return {item.name: shapely.Polygon(item.footprint_m) for item in scene.buildings}


def test_buildings_keep_their_size_height_and_roof(scene):
    known = {item.name: item for item in scene.buildings}
    gabled, levels, pyramid = known["way_1"], known["way_2"], known["way_3"]
    assert (gabled.roof, gabled.height_m, gabled.roof_height_m) == ("gabled", 9.0, 3.0)
    assert (levels.roof, levels.height_m, levels.wall_material) == ("flat", 12.0, "brick")
    assert (pyramid.roof, pyramid.height_m, pyramid.roof_height_m) == ("pyramidal", 6.0, 4.0)
    assert plans(scene)["way_1"].area == pytest.approx(20 * 10, rel=0.03)
    assert plans(scene)["way_3"].area == pytest.approx(12 * 12, rel=0.02)
    assert "way_4" not in known  # A roof on posts has no walls.


def test_no_two_walls_lie_in_one_plane(scene):
    shapes = list(plans(scene).values())
    for i, one in enumerate(shapes):
        assert all(one.distance(other) > 0.09 for other in shapes[i + 1 :])


def test_a_courtyard_stays_open(scene):
    halves = [plan for name, plan in plans(scene).items() if name.startswith("relation_1")]
    assert len(halves) == 2
    assert sum(half.area for half in halves) == pytest.approx(40 * 40 - 20 * 20, rel=0.03)
    yard = shapely.union_all(halves).convex_hull.centroid.buffer(8)
    assert not any(half.intersects(yard) for half in halves)
    points = shapely.points(receiver_points(scene)[:, :2])
    assert shapely.contains(yard, points).any()


def test_a_footprint_that_crosses_itself_is_repaired_and_it_is_said(scene):
    wings = [plan for name, plan in plans(scene).items() if name.startswith("way_7")]
    assert len(wings) == 2
    assert sum(wing.area for wing in wings) == pytest.approx(200, rel=0.1)
    said = " ".join(scene.assumptions)
    assert "footprints that cross themselves and were repaired (make_valid): 1." in said
    assert "levels only (1) have 3 m for each; those that give neither (1) are 9 m" in said
    assert "streets on bridges, in tunnels or drawn as areas, left out: 1." in said
    assert "footways, tracks and other ways, left out: 1." in said


def test_roads_lie_beside_the_buildings(scene):
    assert {road.name: (road.lanes, road.width_m) for road in scene.roads} == {
        "way_8": (2, 5.5),
        "way_9": (1, 3.5),
    }
    for road in scene.roads:
        lane = shapely.LineString(road.path_m).buffer(road.width_m / 2.0)
        assert not any(lane.intersects(plan) for plan in plans(scene).values())


def test_the_scene_is_sound_and_says_where_it_is(scene):
    warned = [finding for finding in findings(scene, "town") if finding.level != "note"]
    # Streets around corners are behind more walls than a path passes.
    assert all("max_depth" in finding.fault.expected for finding in warned)
    assert not any(finding.level == "error" for finding in warned)
    assert "OpenStreetMap contributors" in scene.source
    assert "EPSG:32632 less (500" in scene.source
    assert {ap.name for ap in scene.access_points} == {"roof_1", "street_1"}
    roof, street = scene.access_points
    assert roof.position_m[2] in {item.height_m + 3.0 for item in scene.buildings}
    assert street.position_m[2] == 6.0
    assert 500 < len(receiver_points(scene)) <= 2_000
    assert len(build(scene)) > 15


def test_bounds_choose_the_buildings(source):
    east, north = WEST + 37 * METRE / cos(radians(SOUTH)), SOUTH + 30 * METRE
    found = read_street_map(source, (WEST - 1e-4, SOUTH - 1e-4, east, north))
    assert [feature.name for feature in found.buildings] == ["way_1", "way_2"]
    assert {feature.name for feature in found.roads} == {"way_8", "way_10", "way_11"}
    west, _, edge, _ = shapely.total_bounds([feature.shape for feature in found.roads])
    assert west >= WEST - 1.0001e-4
    assert edge <= east + 1e-9


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((10.0, 48.5, 10.01, 48.51), "bounds that meet the file's"),
        ((48.4995, 8.9995, 48.5015, 9.0015), "are they swapped?"),
        ((9.0, 99.0, 9.01, 99.01), "are they swapped?"),
        ((9.01, 48.5, 9.0, 48.51), "west < east"),
        ((9.0, 48.5, 9.5, 48.6), "at most 0.05 degrees"),
        ((9.0, float("nan"), 9.01, 48.6), "south < north"),
        ((8.9999, 48.49995, 8.99995, 48.5001), "at least one building within the bounds"),
    ],
)
def test_bounds_beside_the_map_are_refused(source, bounds, message):
    with pytest.raises(InputError) as refused:
        read_street_map(source, bounds)
    assert message in str(refused.value)


NODE = '<node id="1" lat="48.5" lon="9.0"/>'
LOOSE = '<way id="1"><nd ref="1"/><nd ref="7"/><tag k="building" v="yes"/></way>'
BOMB = '<!DOCTYPE osm [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><osm><tag k="&b;" v="1"/></osm>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "valid XML"),
        ("height: 3", "valid XML"),
        ("<osm><node", "valid XML"),
        ("<gpx></gpx>", "its root `osm`, found gpx"),
        (BOMB, "without a document type, entities"),
        ('<!DOCTYPE osm SYSTEM "file:///etc/passwd"><osm/>', "without a document type"),
        ("<osm></osm>", "nodes with lat and lon"),
        ('<osm><node id="1" lat="north" lon="9"/></osm>', "numbers for lat and lon"),
        ('<osm><node id="1" lat="nan" lon="9"/></osm>', "latitude within 90 degrees"),
        ('<osm><node id="1" lat="120.1" lon="30.3"/></osm>', "Are lat and lon swapped?"),
        (f"<osm>{NODE}</osm>", "at least one building, found none"),
        (f'<osm>{NODE}<way id="1"><tag k="building" v="yes"/></way></osm>', "have their members"),
        (
            f"<osm>{NODE}{LOOSE}</osm>",
            "at least one building",
        ),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, text, message):
    path = tmp_path / "map.osm"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        import_street_map(path, tmp_path / "scene", name="map")
    assert message in str(refused.value)
    assert not (tmp_path / "scene").exists()


def test_sizes_are_bounded(source, tmp_path, monkeypatch):
    for name, value, message in (
        ("MAX_NODES", 5, "at most 5 nodes"),
        ("MAX_BUILDINGS", 2, "at most 2 buildings"),
        ("MAX_ROADS", 2, "at most 2 roads"),
        ("_MAX_EXTENT_DEG", 1e-4, "Give bounds"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(street_file, name, value)
            with pytest.raises(InputError, match=message):
                read_street_map(source, None)
    large = tmp_path / "large.osm"
    with large.open("wb") as file:
        file.truncate(street_file.MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match="at most 200 MiB"):
        read_street_map(large, None)
    with pytest.raises(InputError, match="no such file"):
        read_street_map(tmp_path, None)


def mapped(name="way_1", corners=(0, 0, 20, 10), **tags):
    return MapFeature(
        name, shapely.box(*corners), HOUSE | {k.replace("__", ":"): v for k, v in tags.items()}
    )


def made(*features, **options):
    return blocks(features, lambda points: points, StreetOptions(**options), "map")


@pytest.mark.parametrize(
    ("text", "height"),
    [("12", 12.0), ("12.5 m", 12.5), ("12,5", 12.5), ("40 ft", 12.19), ("40'6\"", 12.34)],
)
def test_heights_are_read_as_people_write_them(text, height):
    (block,), counts = made(mapped(height=text))
    assert block.height_m == height
    assert counts["unreadable"] == 0


@pytest.mark.parametrize(
    "tags", [{"height": "tall"}, {"height": "0"}, {"building__levels": "some"}]
)
def test_heights_that_cannot_be_read_are_counted(tags):
    (block,), counts = made(mapped(**tags), default_height_m=7.0)
    assert block.height_m == 7.0
    assert (counts["unreadable"], counts["no height"]) == (1, 1)


def test_absurd_heights_are_refused_all_at_once():
    with pytest.raises(InputError) as refused:
        made(
            mapped("way_1", height="9000"),
            mapped("way_2", (30, 0, 50, 10), height="-3"),
            mapped("way_3", (60, 0, 80, 10), building__levels="1000"),
            mapped("way_4", (90, 0, 99, 10), height="1e3"),
        )
    keys = [fault.key for fault in refused.value.faults]
    assert keys == ["way_1.height", "way_2.height", "way_3.building:levels", "way_4.height"]


@pytest.mark.parametrize(
    ("corners", "tags"),
    [
        ((0, 0, 20, 10), {"roof__shape": "hipped", "roof__height": "3"}),
        ((0, 0, 20, 10), {"roof__shape": "gabled"}),
        ((0, 0, 20, 10), {"roof__shape": "gabled", "roof__height": "11.5"}),
    ],
)
def test_roofs_that_cannot_be_built_are_flat_and_counted(corners, tags):
    (block,), counts = made(mapped(corners=corners, height="12", **tags))
    assert (block.roof, block.height_m, counts["roofs"]) == ("flat", 12.0, 1)


def test_a_roof_needs_its_corners():
    bent = shapely.union(shapely.box(0, 0, 20, 10), shapely.box(0, 0, 10, 20))
    tags = HOUSE | {"height": "12", "roof:shape": "pyramidal", "roof:height": "3"}
    (block,), counts = made(MapFeature("way_1", bent, tags))
    assert (block.roof, block.height_m, block.roof_height_m) == ("flat", 12.0, 0.0)
    assert counts["roofs"] == 1


def test_a_lower_building_gives_way_to_a_taller_one():
    low = mapped("way_1", (0, 0, 30, 30), height="10")
    tall = mapped("way_2", (20, 20, 40, 40), height="50")
    built, counts = made(low, tall)
    shapes = {block.name: block.footprint for block in built}
    assert shapes["way_2"].area == pytest.approx(400, rel=0.02)
    assert shapes["way_1"].area == pytest.approx(800, rel=0.02)
    assert shapes["way_1"].distance(shapes["way_2"]) == pytest.approx(0.1, abs=0.011)
    assert counts["overlapping"] == 1
    # The very same footprint twice is one building.
    built, counts = made(low, mapped("way_3", (0, 0, 30, 30), height="10"))
    assert [block.name for block in built] == ["way_1"]


def test_brick_is_not_asked_for_above_its_band():
    brick = mapped(building__material="brick")
    assert made(brick, frequency_ghz=28.0)[0][0].wall_material == "brick"
    (block,), counts = made(brick, frequency_ghz=60.0)
    assert (block.wall_material, counts["materials"]) == ("concrete", 1)
    assert StreetOptions(frequency_ghz=60.0).ground_material == "concrete"
    assert StreetOptions(frequency_ghz=3.5).ground_material == "medium_dry_ground"


def test_random_towns_come_apart():
    generator = np.random.default_rng(5)
    features = []
    for i in range(120):
        corner = np.round(generator.uniform(0, 200, 2) / 10) * 10
        size = generator.choice([10, 20, 20.03, 31.7], 2)
        plan = shapely.box(*corner, *(corner + size))
        if i % 5 == 0:
            plan = plan.difference(plan.centroid.buffer(4))
        if i % 7 == 0:
            plan = shapely.affinity.rotate(plan, float(generator.uniform(0, 90)))
        height = f"{generator.integers(5, 40)}"
        features.append(MapFeature(f"way_{i}", plan, HOUSE | {"height": height}))
    built, _ = made(*features)
    shapes = np.array([block.footprint for block in built])
    assert len(shapes) > 100
    assert shapely.is_valid(shapes).all()
    assert not any(len(shape.interiors) for shape in shapes)
    assert len({block.name for block in built}) == len(built)
    near, _ = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=0.03)
    assert len(near) == len(shapes)  # Each only to itself.


def roads(*features, buildings=()):
    counts = Counter()
    plan = shapely.union_all([shapely.box(*corners) for corners in buildings])
    return carriageways(features, lambda points: points, plan, counts), counts


def street(*points, **tags):
    return MapFeature("way_1", shapely.LineString(points), tags)


def test_roads_end_at_buildings_and_narrow_between_them():
    road = street((0, 0), (100, 0), highway="primary", width="8")
    made_roads, counts = roads(road, buildings=[(40, -5, 50, 5)])
    assert [item.name for item in made_roads] == ["way_1_1", "way_1_2"]
    assert [item.width_m for item in made_roads] == [8.0, 8.0]
    assert counts["roads cut"] == 1
    alley, counts = roads(road, buildings=[(0, 2.1, 100, 9), (0, -9, 100, -2.6)])
    assert [item.width_m for item in alley] == [4.0]
    assert counts["narrowed"] == 1
    shut, _ = roads(road, buildings=[(-1, 0.3, 101, 9), (-1, -9, 101, -0.3)])
    assert shut == []


@pytest.mark.parametrize(
    ("tags", "lanes", "width"),
    [
        ({"highway": "residential"}, 2, 5.5),
        ({"highway": "residential", "oneway": "yes"}, 1, 2.75),
        ({"highway": "primary_link", "lanes": "3"}, 3, 10.5),
        ({"highway": "secondary", "width": "9.5 m"}, 2, 9.5),
        ({"highway": "secondary", "width": "wide", "lanes": "99"}, 20, 60.0),
    ],
)
def test_roads_are_as_wide_as_their_class(tags, lanes, width):
    (road,), _ = roads(street((0, 0), (50, 0), **tags))
    assert (road.lanes, road.width_m) == (lanes, width)


def test_options_are_checked_before_any_work(tmp_path):
    bad = StreetOptions(
        default_height_m=0.0,
        wall_material="cheese",
        road_material="brick",
        frequency_ghz=60.0,
        roof_stations=0,
        street_stations=0,
    )
    with pytest.raises(InputError) as refused:
        import_street_map(tmp_path / "none.osm", tmp_path / "scene", name="x", options=bad)
    keys = [fault.key for fault in refused.value.faults]
    assert keys == ["default_height_m", "roof_stations", "wall_material", "road_material"]


class Answers(BaseHTTPRequestHandler):
    """A server that has one answer, and remembers what it was asked."""

    answer = (200, "")
    asked = ()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        type(self).asked = (*self.asked, body)
        status, text = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    kind = type("Fresh", (Answers,), {})
    http = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield kind, f"http://127.0.0.1:{http.server_port}/api/interpreter"
    http.shutdown()
    thread.join()
    http.server_close()


BOX = (9.0, 48.5, 9.001, 48.501)


def test_a_map_is_fetched_once_and_then_kept(server, tmp_path):
    kind, endpoint = server
    kind.answer = (200, town().text())
    first = fetch_street_map(BOX, tmp_path / "a" / "map.osm", tmp_path / "cache", endpoint=endpoint)
    assert first.read_text() == town().text()
    assert len(kind.asked) == 1
    assert "48.5000000%2C9.0000000%2C48.5010000%2C9.0010000" in kind.asked[0]
    kind.answer = (500, "")
    again = fetch_street_map(BOX, tmp_path / "b.osm", tmp_path / "cache", endpoint=endpoint)
    assert again.read_text() == town().text()
    assert len(kind.asked) == 1
    again.write_text("mine")
    with pytest.raises(InputError, match="not there yet, or holds this very map"):
        fetch_street_map(BOX, again, tmp_path / "cache", endpoint=endpoint)
    assert again.read_text() == "mine"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((504, "busy"), "answers 504"),
        ((200, "<html>try later</html>"), "no map"),
        ((200, "<osm><node"), "no map"),
        ((200, "<osm><remark> runtime error: timed out </remark></osm>"), "runtime error: timed"),
    ],
)
def test_an_answer_that_is_no_map_is_an_error_and_not_kept(server, tmp_path, answer, message):
    kind, endpoint = server
    kind.answer = answer
    with pytest.raises(DownloadError, match=message):
        fetch_street_map(BOX, tmp_path / "map.osm", tmp_path / "cache", endpoint=endpoint)
    assert list(tmp_path.rglob("*.osm")) == []


def test_without_a_network_it_says_what_to_do(tmp_path):
    nobody = "http://127.0.0.1:9/api/interpreter"
    with pytest.raises(DownloadError, match="export the area as an"):
        fetch_street_map(BOX, tmp_path / "map.osm", tmp_path / "cache", endpoint=nobody)
    with pytest.raises(InputError, match="west < east"):
        fetch_street_map((2.0, 1.0, 1.0, 2.0), tmp_path / "map.osm", tmp_path / "cache")
    assert list(tmp_path.rglob("*")) == []
