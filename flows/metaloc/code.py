"""Digests of code: results of other code are not taken for results of this."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.store.content import json_digest

_ROOT = Path(__file__).parent.parent.parent
# What decides an experiment's numbers; scenes and the ray tracer do by the digests of the data.
_OWN = ("flows.metaloc", "twin.align", "twin.evaluate", "twin.learn", "twin.seeds", "twin.trace")
_APART = ("flows.metaloc.sites", "flows.metaloc.room_store", "flows.metaloc.drawing")


@lru_cache
def code_digest(module: str) -> str:
    """Digest of a module and of all it imports of `_OWN`, comments and docstrings apart."""
    found: dict[str, str] = {}
    wanted = [module]
    while wanted:
        name = wanted.pop()
        path = _source(name)
        if name in found or path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wanted += _imported(tree)
        found[name] = ast.dump(_without_docstrings(tree))
    return json_digest(found)[:12]


def _source(name: str) -> Path | None:
    """The file of a module or package that counts; None: it does not, or there is none."""
    if not name.startswith(_OWN) or name in _APART:
        return None
    base = _ROOT / name.replace(".", "/")
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _imported(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        elif isinstance(node, ast.Import):
            names += [each.name for each in node.names]
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body: Sequence[Any] = getattr(node, "body", ())
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = [*body[1:]]
    return tree
