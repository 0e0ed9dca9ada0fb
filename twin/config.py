"""Strict models for everything a user writes, and the one way to read them from YAML."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from twin.errors import Fault, Gathered, InputError, refuse

DATA_DIR_VARIABLE = "TWIN_DATA_DIR"


class StrictModel(BaseModel):
    """Frozen and closed: an unknown key is a fault, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


# The parser written in C reads a large scene ten times as fast; wheels of PyYAML have it.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_FILE_BYTES = 16 * 2**20
_MAX_DEPTH = 64
_MAX_VALUES = 1_000_000


class _Loader(_SafeLoader):  # type: ignore[valid-type, misc]
    """PyYAML's safe loader with fewer surprises.

    Equal keys are a fault, ``1e-3`` is a number (as in YAML 1.2) and a date stays text.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML copies the table when it adds to it)
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        problem = ""
        if not isinstance(key, str | int) or isinstance(key, bool):
            problem = f"key {key!r} is not text (put it in quotes)"
        elif str(key) in content:
            problem = f"key {key!r} stands twice"
        if problem:
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        content[str(key)] = loader.construct_object(value_node, deep=True)
    return content


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def load_model(
    path: Path, model: type[Model], check: Callable[[Model, str], list[Fault]] | None = None
) -> Model:
    """Read a YAML file into a strict model.

    Args:
        path: the file.
        model: what it must hold.
        check: finds what the model alone cannot say; gets the model and the file's name.

    Raises:
        InputError: file missing, not YAML, or not what the model expects; lists every fault with
            file and key.
    """
    return validate(read_yaml(path), model, where=str(path), check=check)


def read_yaml(path: Path) -> object:
    """Plain content of a YAML file, in bounded time and memory whoever wrote it.

    Raises:
        InputError: file missing, larger than 16 MiB, not UTF-8 or not YAML; nested deeper than 64
            levels, or more than a million values once its aliases are written out.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            expected = f"a YAML file of at most {_MAX_FILE_BYTES // 2**20} MiB"
            raise InputError([Fault(str(path), "", expected, f"{size / 2**20:.0f} MiB")])
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            [Fault(str(path), "", "a readable YAML file in UTF-8", str(error))]
        ) from error
    try:
        problem = _bomb(text)
        if problem:
            raise InputError([Fault(str(path), "", *problem)])
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            [Fault(str(path), "", "valid YAML", " ".join(str(error).split()))]
        ) from error


def _bomb(text: str) -> tuple[str, str] | None:
    """What is wrong with the size of a document that is written out in full, or None.

    Counts on the stream of events, which needs no more memory than the text has nesting.
    """
    # Values below each open collection, and the anchor that names it.
    open_values: list[int] = [0]
    open_anchors: list[str | None] = [None]
    of_anchor: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_values.append(1)
            open_anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            count, anchor = open_values.pop(), open_anchors.pop()
            if anchor is not None:
                of_anchor[anchor] = count
            open_values[-1] += count
        elif isinstance(event, yaml.AliasEvent):
            # An alias inside its own anchor has no count yet: the loader refuses it later.
            anchor = str(event.anchor)
            if anchor in open_anchors:
                return "valid YAML", f"recursion: alias *{anchor} stands inside its own anchor"
            # One that names nothing is for the loader to refuse.
            open_values[-1] += of_anchor.get(anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            open_values[-1] += 1
            if event.anchor is not None:
                of_anchor[event.anchor] = 1
        if len(open_values) > _MAX_DEPTH + 1:
            return f"at most {_MAX_DEPTH} levels of nesting", "nesting deeper than that"
        if open_values[-1] > _MAX_VALUES:
            return f"at most {_MAX_VALUES} values, aliases written out", "more of them"
    return None


def validate(
    content: object,
    model: type[Model],
    where: str,
    check: Callable[[Model, str], list[Fault]] | None = None,
) -> Model:
    """Check plain content (as from YAML or JSON) against a model; see `load_model`."""
    try:
        # Through JSON: strict models then take lists for tuples, as a YAML author writes them.
        made = model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        faults = _faults(error, where)
        items = error.errors(include_url=False)
        if all(item["type"] == "extra_forbidden" for item in items):
            # Keys too many must not hide what else is wrong.
            known = _without(content, [item["loc"] for item in items])
            with Gathered(faults):
                validate(known, model, where, check)
        raise InputError(faults) from error
    except (TypeError, ValueError) as error:
        raise InputError(
            [Fault(where, "", "plain values (numbers, text, lists, maps)", str(error))]
        ) from error
    if check is not None:
        refuse(check(made, where))
    return made


def _without(content: object, places: list[tuple[int | str, ...]]) -> object:
    """A copy of plain content without the keys at these places."""
    copied: Any = json.loads(json.dumps(content))
    for place in places:
        holder = copied
        for step in place[:-1]:
            # Pydantic also names the chosen member of a union, which is no key.
            if not isinstance(holder, dict) or step in holder:
                holder = holder[step]
        del holder[place[-1]]
    return copied


def _faults(error: ValidationError, where: str) -> list[Fault]:
    faults = []
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(
            _inside(other["loc"], item["loc"]) for other in items
        ):
            continue  # Only because the faulty elements do not count.
        key = ".".join(str(part) for part in item["loc"])
        found = "nothing" if item["type"] == "missing" else _short(item.get("input"))
        faults.append(Fault(where, key, _expected(item["type"], item["msg"]), found))
    return faults


def _inside(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _expected(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such key (is it misspelt?)"
    if kind == "missing":
        return "a value (the key is required)"
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def data_dir(given: Path | None) -> Path | None:
    """The folder of real data sets: the one given, else ``TWIN_DATA_DIR``, else None.

    Raises:
        InputError: a folder was named and is not there.
    """
    source = "--data-dir"
    if given is None:
        named = os.environ.get(DATA_DIR_VARIABLE)
        if not named:
            return None
        given, source = Path(named), DATA_DIR_VARIABLE
    if not given.is_dir():
        raise InputError([Fault(source, "", "an existing folder", str(given))])
    return given
