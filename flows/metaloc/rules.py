"""Rules that settings of several experiments share.

A validator of settings gathers its faults and raises them as one `InputError`;
`twin.config.validate` then says in which file and below which key they stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twin.errors import Fault


def broken(key: str, expected: str, found: object, cure: str = "") -> Fault:
    """The fault of a key of the settings; a sequence is shown by its values."""
    if isinstance(found, Sequence) and not isinstance(found, str):
        found = ", ".join(map(str, found))
    text = str(found)
    return Fault("settings", key, expected, text or "none", cure)


def rising(key: str, numbers: Sequence[float]) -> list[Fault]:
    """The fault of numbers that do not rise: results are taken on the way from one to the next."""
    if list(numbers) == sorted(set(numbers)):
        return []
    return [broken(key, "rising numbers", numbers)]


def distinct(key: str, values: Sequence[object]) -> list[Fault]:
    """The fault of values that stand twice: their records could not be told apart."""
    twice = [str(value) for value, count in Counter(values).items() if count > 1]
    return [broken(key, "each value once", f"{', '.join(twice)} twice or more")] if twice else []


def own_names(key: str, names: Sequence[str], others: Sequence[str] = ()) -> list[Fault]:
    """The fault of laws that share a name, and so their draws, with each other or with `others`."""
    counts = Counter([*names, *others])
    shared = [name for name in dict.fromkeys(names) if counts[name] > 1]
    if not shared:
        return []
    expected = "laws with names of their own, since the name keys the draws"
    return [broken(key, expected, f"{', '.join(shared)} twice or more")]


def large_enough(pool: int, labels: int, queries: int) -> list[Fault]:
    """The fault of a survey with too few fingerprints for a task of `labels` and `queries`."""
    if pool >= labels + queries:
        return []
    expected = f"{labels + queries} or more, the {labels} labels and {queries} queries of a task"
    return [broken("survey.pool", expected, pool)]
