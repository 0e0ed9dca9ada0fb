from __future__ import annotations

import re
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, create_model, model_validator

from twin.config import DATA_DIR_VARIABLE, StrictModel, data_dir, load_model, validate
from twin.errors import Fault, InputError, refuse
from twin.scene.quantities import Name, SceneName, Text


class Part(StrictModel):
    name: str
    size_m: tuple[float, float]


class Sample(StrictModel):
    count: int
    width_m: float = 1.0
    title: str = ""
    parts: dict[str, Part] = Field(default_factory=dict)


@pytest.fixture
def read(tmp_path):
    def read(text, model=Sample):
        path = tmp_path / "sample.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_model(path, model)

    return read


def faults(read, text):
    with pytest.raises(InputError) as caught:
        read(text)
    return caught.value.faults


def test_yaml_as_an_author_writes_it(read):
    sample = read("count: 3\nwidth_m: 2\nparts: {a: {name: desk, size_m: [1, 2.5]}}")
    assert sample == Sample(count=3, width_m=2.0, parts={"a": Part(name="desk", size_m=(1.0, 2.5))})


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 1e-3), ("2E4", 2e4), ("1.5e3", 1.5e3), ("-.5e+1", -5.0), ("5.e2", 500.0)],
)
def test_numbers_with_an_exponent_are_numbers(read, text, number):
    assert read(f"count: 1\nwidth_m: {text}").width_m == number


@pytest.mark.parametrize("text", ["2026-11-20", "2026-13-45", "e5", "1e"])
def test_text_that_only_looks_like_something_else(read, text):
    assert read(f"count: 1\ntitle: {text}").title == text


def test_every_fault_is_reported_with_file_and_key(read):
    found = faults(
        read,
        "count: '3'\nwidth_m: .inf\nparst: {}\nparts: {a: {size_m: [1]}}",
    )
    by_key = {fault.key: fault for fault in found}
    assert set(by_key) == {"count", "width_m", "parst", "parts.a.name", "parts.a.size_m.1"}
    assert all(fault.where.endswith("sample.yaml") for fault in found)
    assert by_key["count"].found == '"3"'
    assert by_key["parst"].expected == "no such key (is it misspelt?)"
    assert by_key["parts.a.name"].expected == "a value (the key is required)"
    assert by_key["parts.a.name"].found == "nothing"
    assert by_key["width_m"].found == "Infinity"


def test_unknown_keys_do_not_keep_the_check_from_its_work(tmp_path):
    path = tmp_path / "sample.yaml"
    path.write_text("count: 3\ncolour: red\nparts: {a: {name: desk, size_m: [1, 2], legs: 4}}")

    def check(sample, where):
        return [Fault(where, "parts", "none", ", ".join(sample.parts))]

    with pytest.raises(InputError) as caught:
        load_model(path, Sample, check)
    assert [fault.key for fault in caught.value.faults] == ["parts.a.legs", "colour", "parts"]
    assert {fault.where for fault in caught.value.faults} == {str(path)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count: 1\ncount: 2", "key 'count' stands twice"),
        ("count: 1\nparts:\n  a: {name: x, name: y}", "key 'name' stands twice"),
        ("count: 1\nparts: {1: {}, '1': {}}", "key '1' stands twice"),
        ("count: 1\nparts: {no: {}}", "key False is not text"),
        ("? [count]\n: 1", r"key \['count'\] is not text"),
        ("count: [1", "expected ',' or '\\]'"),
        ("count: !!python/name:os.system", "could not determine a constructor"),
        ("count: " + "[" * 5000, "nesting deeper"),
        ("parts: &a {b: *a}", "recursion"),
        ("count: " + "9" * 5000, "integer string conversion"),
        (b"count: \xff", "can't decode"),
    ],
)
def test_bad_yaml_is_refused_in_one_fault(read, text, message):
    (fault,) = faults(read, text)
    assert fault.where.endswith("sample.yaml")
    assert re.search(message, fault.found)


def test_aliases_that_grow_beyond_measure_are_refused_before_they_do(read):
    lines = ["count: 1", "title: x", "x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 30)]
    (fault,) = faults(read, "\n".join(lines))
    assert "at most 1000000 values" in fault.expected


def test_aliases_within_measure_are_read(read):
    sample = read("count: 1\nparts: {a: &a {name: x, size_m: [1, 2]}, b: *a}")
    assert sample.parts["a"] == sample.parts["b"]


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "sample.yaml"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(InputError, match="at most 16 MiB, found 2048 MiB"):
        load_model(path, Sample)


def test_empty_file_is_refused(read):
    (fault,) = faults(read, "")
    assert fault.found == "null"


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="a readable YAML file"):
        load_model(tmp_path / "none.yaml", Sample)


def test_faulty_elements_do_not_also_count_as_missing(read):
    class Names(StrictModel):
        names: tuple[int, ...] = Field(min_length=1)

    with pytest.raises(InputError) as caught:
        read("names: [one]", Names)
    assert [fault.key for fault in caught.value.faults] == ["names.0"]
    with pytest.raises(InputError) as caught:
        read("names: []", Names)
    assert [fault.key for fault in caught.value.faults] == ["names"]


def test_parts_of_a_list_go_by_their_name(read):
    class Thing(StrictModel):
        name: str
        sizes: tuple[float, ...] = Field(default=(1.0,), min_length=1)

    class Things(StrictModel):
        things: tuple[Thing, ...]

    text = """things:
      - {name: desk, sizes: [1, two]}
      - {name: desk 2, sizes: []}
      - {name: twice, sizes: 3}
      - {name: twice, colour: red}
      - {name: a.b, colour: red}
      - {name: '4', colour: red}
      - {sizes: [1]}
      - 7
    """
    with pytest.raises(InputError) as caught:
        read(text, Things)
    told = {fault.key: fault.expected for fault in caught.value.faults}
    assert told == {
        "things.desk.sizes.1": "a valid number",
        "things.desk 2.sizes": "at least 1 item",
        # Names that stand twice, or read as a place, tell nothing.
        "things.2.sizes": "a list",
        "things.3.colour": "no such key (is it misspelt?)",
        "things.4.colour": "no such key (is it misspelt?)",
        "things.5.colour": "no such key (is it misspelt?)",
        "things.6.name": "a value (the key is required)",
        "things.7": "a map of keys",
    }


def test_members_of_unions_are_no_part_of_a_place(read):
    class Walk(StrictModel):
        name: str
        kind: Literal["walk"]
        steps: tuple[int, ...] = Field(min_length=2, max_length=3)

    class Ride(StrictModel):
        name: str
        kind: Literal["ride"]

    class Ways(StrictModel):
        ways: tuple[Annotated[Walk | Ride, Field(discriminator="kind")], ...]

    text = """ways:
      - {name: a, kind: walk, steps: [1]}
      - {name: b, kind: walk, steps: [1, 2, 3, 4]}
      - {name: c, kind: swim}
      - {name: d}
    """
    with pytest.raises(InputError) as caught:
        read(text, Ways)
    assert [(fault.key, fault.expected) for fault in caught.value.faults] == [
        ("ways.a.steps", "at least 2 items"),
        ("ways.b.steps", "at most 3 items"),
        ("ways.c", "'kind' to be one of 'walk', 'ride'"),
        ("ways.d", "the key 'kind', which says what this is"),
    ]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (SceneName, "My-Office", "lower-case letters, digits and _, a letter first"),
        (Name, "a.b", "letters, digits, _, - and spaces, no space or - first"),
        (Text, "", "at least 1 character"),
    ],
)
def test_names_are_asked_for_in_words(kind, text, expected):
    model = create_model("Named", __base__=StrictModel, name=(kind, ...))
    with pytest.raises(InputError) as caught:
        validate({"name": text}, model, "s")
    assert caught.value.faults == (Fault("s", "name", expected, f'"{text}"'),)


@pytest.mark.parametrize("text", ["count: [1", "count: 1\ncount: 2", "a: b: c", "count: \x07"])
def test_yaml_errors_say_where_but_not_in_what_kind_of_text(read, text):
    (fault,) = faults(read, text)
    assert "<" not in fault.found
    assert re.search(r"in (line \d+, column \d+|position \d+)", fault.found)


def test_long_findings_are_cut(read):
    (fault,) = faults(read, f"count: {'x' * 500}")
    assert len(fault.found) == 80


class Span(StrictModel):
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    steps: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _rules(self):
        faults = []
        if self.low >= self.high:
            faults.append(Fault("span", "low", f"less than high ({self.high:g})", f"{self.low:g}"))
        if self.unit == "inch":
            faults.append(Fault("span", "unit", "a metric one", "inch", "Take m."))
        refuse(faults)
        if self.steps:
            raise ValueError("no steps")
        return self


class Spans(StrictModel):
    spans: tuple[Span, ...] = ()
    main: Span = Span()


def test_faults_of_a_validator_stand_below_the_place_of_its_model(read):
    with pytest.raises(InputError) as caught:
        read("spans: [{}, {low: 2, unit: inch}]\nmain: {low: 3}", Spans)
    where = caught.value.faults[0].where
    assert where.endswith("sample.yaml")
    assert caught.value.faults == (
        Fault(where, "spans.1.low", "less than high (1)", "2"),
        Fault(where, "spans.1.unit", "a metric one", "inch", "Take m."),
        Fault(where, "main.low", "less than high (1)", "3"),
    )
    with pytest.raises(InputError) as caught:
        read("low: 2", Span)
    assert [fault.key for fault in caught.value.faults] == ["low"]


def test_a_long_map_that_a_validator_refuses_is_told_by_its_keys(read):
    long, short = list(range(1000, 1020)), [1]
    for steps, found in ((long, "the keys high, steps"), (short, '{"high": 4, "steps": [1]}')):
        with pytest.raises(InputError) as caught:
            read(f"high: 4\nsteps: {steps}", Span)
        (fault,) = caught.value.faults
        assert (fault.expected, fault.found) == ("no steps", found)


def test_content_that_is_not_plain_is_refused():
    with pytest.raises(InputError, match="plain values"):
        validate({"count": object()}, Sample, where="argument")


def test_models_are_frozen():
    with pytest.raises(ValidationError):
        Sample(count=1).count = 2


def test_data_dir_prefers_the_option(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "a"))
    assert data_dir(tmp_path / "b") == tmp_path / "b"
    assert data_dir(None) == tmp_path / "a"


@pytest.mark.parametrize("value", [None, ""])
def test_data_dir_may_be_unset(monkeypatch, value):
    if value is None:
        monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(DATA_DIR_VARIABLE, value)
    assert data_dir(None) is None


def test_data_dir_that_is_not_there_is_refused_by_its_source(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--data-dir: expected an existing folder"):
        data_dir(tmp_path / "none")
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(InputError, match=f"{DATA_DIR_VARIABLE}: expected an existing folder"):
        data_dir(None)
