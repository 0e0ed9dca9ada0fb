"""A new scene folder from a template and a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from twin.config import validate
from twin.errors import Fault, InputError, refuse
from twin.scene.check import findings
from twin.scene.declaration import SCHEMA, Scene
from twin.scene.importers.scene_folder import folder_faults, write_scene_folder
from twin.scene.library import name_from_folder
from twin.scene.templates import campus, corridor, factory, hall, home, office, street
from twin.scene.templates.common import Draws, Made, Part, Size
from twin.scene.templates.writing import TABLE_FILE, table_text, uncertain

_ANY_DEPTH = 10_000


@dataclass(frozen=True)
class Template:
    """A procedure that makes scenes.

    Args:
        summary: what it makes, in a few words.
        sizes: the numbers it takes.
        make: from all its sizes and the seed's draws to a scene.
    """

    summary: str
    sizes: Mapping[str, Size]
    make: Callable[[Mapping[str, float], Draws], Made]


TEMPLATES: dict[str, Template] = {
    name: Template(module.SUMMARY, module.SIZES, module.make)
    for name, module in {
        "office": office,
        "corridor": corridor,
        "hall": hall,
        "home": home,
        "factory": factory,
        "street": street,
    }.items()
}


def new_scene(
    template: str,
    to: Path,
    *,
    name: str | None = None,
    seed: int = 0,
    source: Path | None = None,
    **sizes: float,
) -> Path:
    """Write a scene folder: ``scene.yaml``, ``perturbation.yaml`` and ``README.md``.

    The same template, seed, sizes and name give the same bytes.

    Args:
        template: one of `TEMPLATES`, or ``campus``, which takes its houses from a map.
        to: folder to write; not there yet, or empty.
        name: of the scene; where none is given that of the folder, made valid by
            `twin.scene.library.name_from_folder`.
        seed: zero or greater; draws every size that is not given, and all places.
        source: OpenStreetMap extract of a campus; for no other template.
        sizes: numbers of the template by name, as `TEMPLATES` lists them.

    Returns:
        The folder.

    Raises:
        InputError: unknown template or size, a size out of range or one that the rest does not
            fit, a folder that holds something, a map that is missing or cannot be read; lists
            every fault.
    """
    scene_name = name if name is not None else name_from_folder(to)
    faults = _faults(template, seed, source, sizes)
    refuse([*faults, *folder_faults(to)])
    draws = Draws(seed, template)
    known = _sizes(template)
    taken = {key: float(sizes.get(key, _drawn(key, known[key], draws))) for key in known}
    if template == campus.NAME:
        if source is None:
            raise AssertionError("no map is a fault")
        return campus.new_campus(source, to, name=scene_name, seed=seed, sizes=taken, draws=draws)
    made = TEMPLATES[template].make(taken, draws)
    content: Part = {
        "schema": SCHEMA,
        "name": scene_name,
        "title": made.scene["title"],
        "source": f"Made by the template {template!r} of Fingertwin with seed {seed}.",
        **{key: value for key, value in made.scene.items() if key != "title"},
    }
    _sound(content, template)
    return write_scene_folder(
        to,
        content,
        _readme(template, scene_name, seed, sizes, taken, made),
        {TABLE_FILE: table_text(scene_name, made.table)},
    )


def _faults(
    template: str, seed: int, source: Path | None, sizes: Mapping[str, float]
) -> list[Fault]:
    names = [*TEMPLATES, campus.NAME]
    if template not in names:
        return [Fault("template", "", "one of " + ", ".join(sorted(names)), repr(template))]
    faults: list[Fault] = []
    if seed < 0:
        faults.append(Fault("seed", "", "zero or greater", str(seed)))
    known = _sizes(template)
    if template == campus.NAME and source is None:
        faults.append(
            Fault("source", "", "a file with an OpenStreetMap extract", "none", "Name a file")
        )
    elif template != campus.NAME and source is not None:
        expected = f"no map for the template {template!r}"
        faults.append(Fault("source", "", expected, str(source), "Leave it out"))
    for key, value in sizes.items():
        if key not in known:
            expected = f"a size of the template {template!r}: " + ", ".join(known)
            faults.append(Fault("size", key, expected, f"{value:g}"))
            continue
        size = known[key]
        whole = size.unit != "1" or float(value).is_integer()
        # Not a number is in no range.
        if not (size.low <= value <= size.high) or not whole:
            unit = " (a whole number)" if size.unit == "1" else f" {size.unit}"
            faults.append(Fault("size", key, f"{size.low:g} to {size.high:g}{unit}", f"{value:g}"))
    return faults


def _sizes(template: str) -> Mapping[str, Size]:
    return campus.SIZES if template == campus.NAME else TEMPLATES[template].sizes


def _drawn(key: str, size: Size, draws: Draws) -> float:
    low, high = size.usual
    if size.unit == "1":
        return float(draws.whole(int(low), int(high), "size", key))
    return draws.between(low, high, "size", key, digits=1)


def _sound(content: Part, template: str) -> None:
    """Refuse sizes that leave no room for what the template puts there."""
    where = f"template {template!r}"
    scene = validate(content, Scene, where)
    # How many walls stand between rooms is no fault of a building.
    found = findings(scene, where, max_depth=_ANY_DEPTH)
    wrong = [item for item in found if item.level != "note"]
    if wrong:
        raise InputError(
            [
                Fault(
                    where,
                    item.fault.key,
                    item.fault.expected,
                    item.fault.found,
                    "Choose other sizes or another seed",
                )
                for item in wrong
            ]
        )


def _readme(
    template: str,
    name: str,
    seed: int,
    given: Mapping[str, float],
    taken: Mapping[str, float],
    made: Made,
) -> str:
    known = TEMPLATES[template].sizes
    options = "".join(f" --size {key}={value:g}" for key, value in given.items())
    lines = [
        f"# {made.scene['title']}",
        "",
        f"No real place: {TEMPLATES[template].summary}. Made by",
        f"`twin scene new {template} --to {name} --seed {seed}{options}`; change what you like.",
        "",
        *(f"- {note}" for note in made.notes),
        "",
        "| size | value | | |",
        "|---|---|---|---|",
        *(
            f"| `{key}` | {value:g}{'' if known[key].unit == '1' else ' ' + known[key].unit} | "
            f"{known[key].words} | {'given' if key in given else 'drawn'} |"
            for key, value in taken.items()
        ),
        "",
        *uncertain(made.table),
    ]
    return "\n".join(lines)
