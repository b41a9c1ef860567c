"""Vectors of what messages mean, as the database is told them: in chunks, and turned by a secret of the tenant's.

An embedding can be turned back into much of its text by a model that knows the embedder. So each tenant's vectors are turned by an
orthogonal transform made of its key, in which no such model can read; distances stay, so that the database still finds what is near.
docs/decisions/0017 says what that hides and what not.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from db.scopes import Writing
from db.statements import vectors

Vector = Sequence[float]
DIMENSIONS: Final = 256
_PURPOSE: Final = "vector rotation"
# Three rounds of random signs and a Walsh-Hadamard transform are as good as a random rotation (Andoni et al., "Practical and
# Optimal LSH for Angular Distance", 2015, section 4); the shuffles between them keep their structure from being told apart.
_ROUNDS: Final = 3


class Embedder(Protocol):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector of length 1 for each text, all zeros for a text of nothing."""


class Due(NamedTuple):
    """A message whose vectors are to be made, and until when it is the caller's to do."""

    message_id: UUID
    due_at: datetime
    text: str


def chunks(text: str, *, length: int, most: int) -> list[str]:
    """Take a text apart at spaces into pieces of at most so many characters; what is beyond the last is left out."""
    found: list[str] = []
    begin, text = 0, text.strip()
    while begin < len(text) and len(found) < most:
        end = begin + length
        if end < len(text) and (space := text.rfind(" ", begin + length // 2, end)) > 0:
            end = space
        found.append(text[begin:end].strip())
        begin = end
    return [chunk for chunk in found if chunk]


def turned(cipher: TenantCipher, vector: Vector, *, version: int | None = None) -> list[float]:
    """Turn a vector by the tenant's rotation: lengths and angles stay, and without the key nobody turns it back."""
    seed = cipher.hmac(_PURPOSE, b"", version=version)
    values = list(vector)
    for order, signs in _rotation(seed, len(values)):
        values = _mixed([values[place] * sign for place, sign in zip(order, signs, strict=True)])
    return values


@lru_cache(1000)
def _rotation(seed: bytes, size: int) -> tuple[tuple[list[int], list[float]], ...]:
    """Make the shuffle and the signs of each round, which also keep the length as it is."""
    if size & (size - 1):
        raise ValueError("A vector of this transform has a power of two dimensions.")
    scale = 1 / math.sqrt(size)
    rounds = []
    for number in range(_ROUNDS):
        drawn = hashlib.shake_256(seed + bytes([number])).digest(size * 9)
        keys = [drawn[place * 8 : place * 8 + 8] for place in range(size)]
        rounds.append((sorted(range(size), key=keys.__getitem__), [scale if byte & 1 else -scale for byte in drawn[size * 8 :]]))
    return tuple(rounds)


def _mixed(values: list[float]) -> list[float]:
    """Apply the fast Walsh-Hadamard transform, without its scale."""
    half = len(values) // 2
    for _ in range(len(values).bit_length() - 1):
        left, right = values[:half], values[half:]
        values = [0.0] * (2 * half)
        values[::2] = [one + other for one, other in zip(left, right, strict=True)]
        values[1::2] = [one - other for one, other in zip(left, right, strict=True)]
    return values


def spelled(vector: Vector) -> str:
    """Spell a vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.5g}" for value in vector) + "]"


async def keep(scope: Writing, cipher: TenantCipher, found: Mapping[Due, Sequence[str]]) -> None:
    """Write the vectors of messages that are still due as they were when they were read, and due no more."""
    await vectors.keep(
        scope,
        cipher.tenant_id,
        due={due.message_id: due.due_at for due in found},
        embeddings=[(due.message_id, chunk, text) for due, texts in found.items() for chunk, text in enumerate(texts)],
        key_version=cipher.active_version or 0,  # without an active key there are no vectors
    )
