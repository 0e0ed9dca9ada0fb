"""Every value of a declaration under its dotted path.

One walk serves the range check and the addressing of uncertain quantities, so both speak
of the same places: ``access_points.AP1.position_m.z``, ``materials.concrete.thickness_m``.
Elements of a list go by their name where they have one, else by their number; the components of a
point or a size are called x, y, z.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from twin.scene.limits import Limits

Value = float | bool | str
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Leaf:
    """One value.

    Args:
        path: names from the top to the value.
        keys: the same way through the plain content (numbers for list elements).
        value: number, truth value or text.
        limits: unit and range, for numbers that carry them.
        choices: the allowed texts, where the declaration lists them.
    """

    path: tuple[str, ...]
    keys: tuple[str | int, ...]
    value: Value
    limits: Limits | None = None
    choices: tuple[str, ...] = ()

    @property
    def dotted(self) -> str:
        """Path as people write it."""
        return ".".join(self.path)


def leaves(model: BaseModel) -> Iterator[Leaf]:
    """All values that are given or defaulted, in the order of the declaration; None is left out."""
    yield from _model(model, (), ())


def _model(model: BaseModel, path: tuple[str, ...], keys: tuple[str | int, ...]) -> Iterator[Leaf]:
    for name, field in type(model).model_fields.items():
        written = field.alias or name
        yield from _value(
            field.annotation,
            tuple(field.metadata),
            getattr(model, name),
            (*path, written),
            (*keys, written),
        )


def _value(
    annotation: object,
    metadata: tuple[object, ...],
    value: object,
    path: tuple[str, ...],
    keys: tuple[str | int, ...],
) -> Iterator[Leaf]:
    annotation, metadata = _bare(annotation, metadata)
    if isinstance(value, BaseModel):
        yield from _model(value, path, keys)
    elif isinstance(value, dict):
        inner = get_args(annotation)[1]
        for key, part in value.items():
            yield from _value(inner, (), part, (*path, key), (*keys, key))
    elif isinstance(value, tuple):
        kinds = get_args(annotation)
        of_one_kind = len(kinds) == 2 and kinds[1] is Ellipsis
        for i, part in enumerate(value):
            kind = kinds[0] if of_one_kind else kinds[i]
            label = str(getattr(part, "name", i)) if of_one_kind else _AXES[i]
            yield from _value(kind, (), part, (*path, label), (*keys, i))
    elif isinstance(value, bool | int | float | str):
        limits = next((item for item in metadata if isinstance(item, Limits)), None)
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        yield Leaf(path, keys, value, limits, choices)


def _bare(annotation: object, metadata: tuple[object, ...]) -> tuple[object, tuple[object, ...]]:
    """Annotation without its `Annotated` wrapping and without `| None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            metadata = (*metadata, *more)
        elif origin in (Union, types.UnionType):
            annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
        else:
            return annotation, metadata
