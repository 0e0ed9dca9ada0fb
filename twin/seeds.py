"""Random numbers keyed by name.

A stream belongs to what it draws (study seed, scene, realisation, quantity, …), never to the order
in which things run, so adding a quantity or running jobs elsewhere changes no other draw.
"""

from __future__ import annotations

import hashlib
import operator

import numpy as np

Key = str | int


def seed_sequence(seed: int, *key: Key) -> np.random.SeedSequence:
    """Seed sequence of one named stream.

    Args:
        seed: the study's seed, zero or greater.
        key: names and numbers that tell this stream from all others; the order of the parts counts.

    Raises:
        ValueError: negative seed.
        TypeError: a part of the key is neither text nor a whole number.
    """
    if seed < 0:
        raise ValueError(f"seed: expected zero or greater, found {seed}")
    parts = b"".join(_tagged(part).encode() for part in key)
    words = np.frombuffer(hashlib.sha256(parts).digest(), dtype="<u4")
    return np.random.SeedSequence([seed, *(int(word) for word in words)])


def _tagged(part: Key) -> str:
    # Tagged with type and length, so ("ab", "c") and ("a", "bc"), 1 and "1" differ; a NumPy integer
    # or a text enumeration counts as what it stands for.
    if isinstance(part, str):
        kind, text = "str", str.__str__(part)
    else:
        kind, text = "int", str(operator.index(part))
    return f"{kind}{len(text)}:{text}"


def stream(seed: int, *key: Key) -> np.random.Generator:
    """Generator (PCG64) of one named stream; see `seed_sequence`."""
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, *key)))


def integer_seed(seed: int, *key: Key) -> int:
    """A 31-bit seed for libraries that take an integer only."""
    return int(seed_sequence(seed, *key).generate_state(1)[0] & 0x7FFFFFFF)
