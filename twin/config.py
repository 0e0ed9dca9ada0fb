"""Strict models for everything a user writes, and the one way to read them from YAML."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

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
_LONGEST_NAME = 60
_LONGEST_FOUND = 80


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
        raise InputError([Fault(str(path), "", "valid YAML", _yaml_message(error))]) from error


def _yaml_message(error: Exception) -> str:
    """What a parser found and where; it only calls the text a text, as the file is named before."""
    return re.sub(r'in "<[a-z ]+>", ', "in ", " ".join(str(error).split()))


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
    """Check plain content (as from YAML or JSON) against a model; see `load_model`.

    A validator of a model may raise an `InputError`: its faults then stand in `where`, with their
    keys below that of the model's own place.
    """
    try:
        # Through JSON: strict models then take lists for tuples, as a YAML author writes them.
        made = model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        faults = _faults(error, where, content)
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


def _faults(error: ValidationError, where: str, content: object) -> list[Fault]:
    faults = []
    names = _Names()
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(
            _inside(other["loc"], item["loc"]) for other in items
        ):
            continue  # Only because the faulty elements do not count.
        key = names.key(content, item["loc"])
        told = item.get("ctx", {}).get("error")
        if isinstance(told, InputError):
            faults += [
                replace(fault, where=where, key=".".join(filter(None, (key, fault.key))))
                for fault in told.faults
            ]
        else:
            faults.append(Fault(where, key, _expected(item), _found(item)))
    return faults


def _found(item: ErrorDetails) -> str:
    if item["type"] == "missing":
        return "nothing"
    value = item.get("input")
    text = json.dumps(value, default=str)
    if item["type"] == "value_error" and isinstance(value, dict) and len(text) > _LONGEST_FOUND:
        # The start of a long map says nothing of what is wrong in it.
        return _cut(f"the keys {', '.join(value)}")
    return _cut(text)


class _Names:
    """Places in plain content as people know them: parts of a list by name where they have one."""

    def __init__(self) -> None:
        # Of each list that was asked for, by its identity: counted once for all faults in it.
        self._known: dict[int, Counter[str]] = {}

    def key(self, content: object, place: tuple[int | str, ...]) -> str:
        """Dotted place, without the members of unions that pydantic names on the way."""
        steps: list[str] = []
        holder = content
        for number, step in enumerate(place):
            last = number == len(place) - 1
            if isinstance(holder, dict):
                there = step in holder
                # A key that is missing is in nothing.
                if there or last:
                    steps.append(str(step))
                holder = holder[step] if there else holder
            elif isinstance(holder, list | tuple) and isinstance(step, int) and step < len(holder):
                steps.append(self._label(holder, step))
                holder = holder[step]
            elif isinstance(step, int):
                steps.append(str(step))
        return ".".join(steps)

    def _label(self, parts: Sequence[object], index: int) -> str:
        if id(parts) not in self._known:
            self._known[id(parts)] = Counter(filter(None, map(_name_of, parts)))
        name = _name_of(parts[index])
        # A name that stands twice, or reads as a place itself, tells nothing.
        unique = name is not None and self._known[id(parts)][name] == 1
        return name if name is not None and unique else str(index)


def _name_of(part: object) -> str | None:
    name = part.get("name") if isinstance(part, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        return None
    return None if "." in name or name.isdigit() else name


def _inside(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


# What the patterns of names ask for, in words.
_PATTERNS = {
    r"^[a-z][a-z0-9_]*$": "lower-case letters, digits and _, a letter first",
    r"^[A-Za-z0-9_][A-Za-z0-9_ -]*$": "letters, digits, _, - and spaces, no space or - first",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits, lower-case",
    r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$": "letters, digits, _, - and ., no . first",
}


def _items(words: str, number: int) -> str:
    return f"{words} {number} item{'' if number == 1 else 's'}"


# What pydantic's kinds of errors expect, from their context, in the words of YAML.
_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "too_short": lambda context: _items("at least", context["min_length"]),
    "too_long": lambda context: _items("at most", context["max_length"]),
    "string_pattern_mismatch": lambda context: _PATTERNS.get(
        context["pattern"], f"text that matches {context['pattern']!r}"
    ),
    "union_tag_invalid": lambda context: (
        f"{context['discriminator']} to be one of {context['expected_tags']}"
    ),
    "union_tag_not_found": lambda context: (
        f"the key {context['discriminator']}, which says what this is"
    ),
    "extra_forbidden": lambda _: "no such key (is it misspelt?)",
    "missing": lambda _: "a value (the key is required)",
    **dict.fromkeys(("list_type", "tuple_type"), lambda _: "a list"),
    **dict.fromkeys(("dict_type", "model_type"), lambda _: "a map of keys"),
}


def _expected(item: ErrorDetails) -> str:
    known = _EXPECTED.get(item["type"])
    if known is not None:
        return known(item.get("ctx", {}))
    message = item["msg"]
    for start in ("Value error, ", "Input should be ", "String should have "):
        message = message.removeprefix(start)
    return message


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_FOUND else text[: _LONGEST_FOUND - 3] + "..."


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
