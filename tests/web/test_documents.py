"""What a process remembers of documents: no more than its bounds, and nothing of one that was thrown away."""

import gc
import weakref
from dataclasses import replace

from graphql import GraphQLError

from execution import Operation
from schema.schema import build_schema
from settings import Settings
from web import documents
from web.answers import safe_error
from web.door import Door

SCHEMA = build_schema()


def text_of(number: int, size: int = 0) -> str:
    return f"query Q{number} {{ viewer {{ permissions }} }} #{'x' * size}"


def opened(settings: Settings) -> Door:
    """Return a door that compiles, whichever mode the run of the tests asks for: it is plans that are looked at here."""
    return Door(replace(settings, execution="compiled"), SCHEMA)


def compiled(door: Door, text: str) -> Operation:
    operation = door.compiled(door.documents.prepare(text, None, {}))
    assert operation is not None
    return operation


def test_a_document_that_is_thrown_away_takes_its_plans_with_it(settings: Settings) -> None:
    door = opened(settings)
    first = weakref.ref(compiled(door, text_of(0, documents.CACHED_CHARACTERS // 2)))
    assert first() is not None
    second = compiled(door, text_of(1, documents.CACHED_CHARACTERS // 2 + 1))
    gc.collect()
    assert first() is None
    assert len(door.compiler._plans._kept) == 1
    assert compiled(door, text_of(1, documents.CACHED_CHARACTERS // 2 + 1)) is second


def test_a_document_that_is_too_large_to_keep_is_compiled_and_not_kept(settings: Settings) -> None:
    door = opened(settings)
    compiled(door, text_of(0, documents.CACHED_CHARACTERS))
    assert not door.compiler._kept


def test_an_error_that_was_told_holds_no_frames() -> None:
    def fail() -> None:
        raise ValueError("inside")

    try:
        fail()
    except ValueError as error:
        told = GraphQLError(str(error), original_error=error)
        cause = error
    assert safe_error(told, "1")["extensions"]["code"] == "INTERNAL"
    assert (told.__traceback__, cause.__traceback__) == (None, None)
