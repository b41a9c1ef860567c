"""Vectors keep their angles under a tenant's rotation, texts are taken apart, and two rankings become one."""

import math
import random
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.encryption.ciphers import TenantCipher
from knowledge.search import CHAT, MESSAGE, Hit, fused
from knowledge.vectors import DIMENSIONS, chunks, spelled, turned

CIPHER = TenantCipher(UUID(int=1), {1: b"1" * 32, 2: b"2" * 32}, 2)
OTHER = TenantCipher(UUID(int=2), {1: b"1" * 32}, 1)


def some_vector(seed: int, dimensions: int = DIMENSIONS) -> list[float]:
    drawn = random.Random(seed)
    values = [drawn.gauss(0, 1) for _ in range(dimensions)]
    length = math.hypot(*values)
    return [value / length for value in values]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_turned_vectors_are_as_near_as_they_were(one: int, other: int) -> None:
    before = cosine(some_vector(one), some_vector(other))
    assert cosine(turned(CIPHER, some_vector(one)), turned(CIPHER, some_vector(other))) == pytest.approx(before, abs=1e-9)


def test_each_tenant_and_key_turns_differently_and_always_the_same() -> None:
    vector = some_vector(7)
    assert turned(CIPHER, vector) == turned(CIPHER, vector, version=2)
    for other in (vector, turned(CIPHER, vector, version=1), turned(OTHER, vector)):
        assert abs(cosine(turned(CIPHER, vector), other)) < 0.4


def test_a_turned_vector_shows_no_single_direction() -> None:
    """One number of many is spread over all, however the vector was made."""
    for place in range(0, DIMENSIONS, 37):
        unit = [float(number == place) for number in range(DIMENSIONS)]
        assert max(map(abs, turned(CIPHER, unit))) < 0.4


def test_only_powers_of_two_can_be_turned() -> None:
    with pytest.raises(ValueError, match="power of two"):
        turned(CIPHER, some_vector(1, 100))


@given(st.text(max_size=300), st.integers(5, 50), st.integers(1, 5))
def test_a_text_is_taken_apart_into_bounded_pieces(text: str, length: int, most: int) -> None:
    found = chunks(text, length=length, most=most)
    assert len(found) <= most
    assert all(0 < len(chunk) <= length for chunk in found)
    if found and len(found) < most:
        assert "".join("".join(found).split()) == "".join(text.split())


def test_pieces_end_at_spaces_where_they_can() -> None:
    assert chunks("one two three four", length=9, most=9) == ["one two", "three", "four"]
    assert chunks("x" * 25, length=10, most=2) == ["x" * 10, "x" * 10]
    assert chunks("  ", length=10, most=2) == []


def test_what_two_rankings_name_comes_before_what_one_names() -> None:
    first, second, third, chat = (uuid4() for _ in range(4))
    named = [Hit(first, MESSAGE, 90), Hit(chat, CHAT, 80), Hit(second, MESSAGE, 70)]
    near = [Hit(third, MESSAGE, 0), Hit(second, MESSAGE, 0)]
    hits = fused(named, near)
    assert hits[0].id == second
    assert {hit.id for hit in hits[1:3]} == {first, third}
    assert hits[1].score == hits[2].score
    assert hits[3] == Hit(chat, CHAT, hits[3].score)
    assert fused([], []) == []


def test_vectors_are_spelled_as_pgvector_reads_them() -> None:
    assert spelled([0.5, -0.25, 1 / 3]) == "[0.5,-0.25,0.33333]"
