"""Search over what the viewer may read."""

from collections.abc import Sequence
from uuid import UUID

from chat.contents import opened_many, plain_text
from chat.headings import opened_titles
from db.scopes import Row
from knowledge.highlights import Passage, passages
from knowledge.search import CHAT, MESSAGE, Hit, Place, Question
from loaders.pages import Cursors, Page, PageArguments
from resolvers.operations import Operation
from settings import Settings


async def page(operation: Operation, arguments: PageArguments, question: Question) -> Page:
    """Find chats and messages, the best first: rows of `kind`, `row`, `score` from 0 to 1, and the `words` that were looked for."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    cursors = Cursors(cipher, "search", operation.viewer.user_id, question.fingerprint)
    start = arguments.start(cursors)
    place = None if start is None else Place(start[0], start[1], start[2], start[3:])
    if operation.works.search.reads(question):
        await operation.pay(_reading_points(operation.works.settings))
    found = await operation.works.search.find(operation.reads, operation.viewer, cipher, question, place=place, limit=arguments.limit)
    hits, words = found.hits[: arguments.size], frozenset(found.words)
    rows = await _rows(operation, hits)
    return Page(
        [{"hit": hit, "row": rows[hit.id], "score": hit.score / found.best, "words": words} for hit in hits if hit.id in rows],
        lambda row: cursors.write([row["hit"].score, row["hit"].id, found.lowest, *found.weights]),
        has_next=len(found.hits) > arguments.size,
        has_previous=arguments.after is not None,
    )


def _reading_points(settings: Settings) -> int:
    """What it costs that messages are read; a bucket holds what the dearest operation costs, which this one's own cost comes out of too."""
    return min(settings.search_read_points, settings.graphql_max_cost // 2)


async def _rows(operation: Operation, hits: Sequence[Hit]) -> dict[UUID, Row]:
    """Read what was found; what was deleted in this moment is left out."""
    rows: dict[UUID, Row] = {}
    for kind, question in ((CHAT, operation.questions.chat_by_id), (MESSAGE, operation.questions.message_by_id)):
        if ids := [hit.id for hit in hits if hit.kind == kind]:
            rows |= {row["id"]: row for row in await question.load_many(ids) if row is not None}
    return rows


async def highlights(operation: Operation, found: Sequence[Row]) -> list[list[Passage] | Exception]:
    """Decrypt what was found, and show where the words stand."""
    cipher, settings = await operation.works.keyring.cipher(operation.tenant_id), operation.works.settings
    contents = iter(opened_many(cipher, [one["row"] for one in found if one["hit"].kind == MESSAGE]))
    titles = iter(opened_titles(cipher, [one["row"] for one in found if one["hit"].kind == CHAT]))

    def shown(one: Row) -> list[Passage] | Exception:
        text = next(titles) if one["hit"].kind == CHAT else next(contents)
        if isinstance(text, Exception):
            return text
        text = plain_text(text) if isinstance(text, list) else text or ""
        return passages(text, one["words"], most=settings.search_highlights, length=settings.search_highlight_length)

    return [shown(one) for one in found]
