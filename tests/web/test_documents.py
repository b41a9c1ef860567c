"""What a process remembers of documents: no more than its bounds, and nothing of one that was thrown away."""

import gc
import weakref
from dataclasses import replace

from graphql import GraphQLError

from execution import Operation
from schema.schema import build_schema
from settings import Settings
from web.answers import safe_error
from web.door import Door
from web.shelves import LARGEST_SHARE, Origin

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


SHARE = 1000
"""The largest text that is kept of a member where all of theirs may have eight times as much."""


def narrow(settings: Settings) -> Door:
    return opened(replace(settings, graphql_cached_characters=LARGEST_SHARE * SHARE))


def test_a_document_that_is_thrown_away_takes_its_plans_with_it(settings: Settings) -> None:
    door = narrow(settings)
    texts = [text_of(number, SHARE - 50) for number in range(LARGEST_SHARE + 1)]
    first = weakref.ref(compiled(door, texts[0]))
    assert first() is not None
    others = [compiled(door, text) for text in texts[1:]]
    gc.collect()
    assert first() is None
    assert len(door.compiler._plans._kept) == LARGEST_SHARE
    assert [compiled(door, text) for text in texts[1:]] == others


def test_a_document_that_is_too_large_to_keep_is_compiled_and_not_kept(settings: Settings) -> None:
    door = narrow(settings)
    compiled(door, text_of(0, SHARE))
    assert not door.compiler._kept


def test_strangers_documents_drive_out_only_each_other(settings: Settings) -> None:
    door = narrow(settings)
    published, member = text_of(1), text_of(2)
    door.documents.prepare(published, None, {}, Origin.PUBLISHED)
    door.documents.prepare(member, None, {}, Origin.MEMBER)
    strange = [text_of(number, 100) for number in range(3, 100)]
    for text in strange:
        door.documents.prepare(text, None, {}, Origin.ANYBODY)
    assert door.documents.keeps(published)
    assert door.documents.keeps(member)
    assert 0 < sum(map(door.documents.keeps, strange)) <= LARGEST_SHARE * SHARE // 4 // 100


def test_a_strangers_document_that_a_member_sends_is_a_members_from_then_on(settings: Settings) -> None:
    door = narrow(settings)
    shared = text_of(0)
    door.documents.prepare(shared, None, {}, Origin.ANYBODY)
    first = compiled(door, shared)  # which asks as a member does
    for number in range(1, 100):
        door.documents.prepare(text_of(number, 100), None, {}, Origin.ANYBODY)
    assert door.documents.keeps(shared)
    assert compiled(door, shared) is first


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
