"""Search: chats and messages by the words in them."""

import enum
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, TypeAlias

import strawberry

from db.scopes import Row
from execution import Column
from knowledge.highlights import Passage
from knowledge.search import CHAT, MESSAGE, Question
from loaders.pages import Page
from resolvers import search
from resolvers.operations import Operation
from schema.chats import Chat
from schema.connections import After, PageInfo, asked
from schema.fields import Columns, attribute, batch, column, name_of, nested
from schema.ids import local_id
from schema.messages import Message
from schema.spans import TimeRange


@strawberry.enum(description="What may be found.")
class SearchType(enum.Enum):
    CHAT = strawberry.enum_value(CHAT, description="Chats, by their titles.")
    MESSAGE = strawberry.enum_value(MESSAGE, description="Messages, by their texts.")


SearchHit: TypeAlias = Annotated[Chat | Message, strawberry.union("SearchHit", description="Something that was found.")]


@strawberry.type(description="Where in a passage a word stands that was looked for.")
class HighlightRange:
    __source__: ClassVar[str] = "range"

    range: strawberry.Private[tuple[int, int]]

    start: int = column(0, description="Its first character: Unicode code points from the passage's beginning, from 0.")
    end: int = column(1, description="The first character behind it.")


@strawberry.type(description="A passage of what was found.")
class Highlight:
    __source__: ClassVar[str] = "passage"

    passage: strawberry.Private[Passage]

    text: str = attribute("text", description="The passage, as plain text in canonical composition (NFC).")
    ranges: list[HighlightRange] = nested(Column("ranges", attribute=True), description="Where the words stand, in order, apart.")


def _node(found: Row) -> Any:
    return (Chat if found["hit"].kind == CHAT else Message)(row=found["row"])


def _nodes(found: list[Row]) -> list[Any]:
    return [_node(one) for one in found]


async def _highlights(operation: Operation, edges: Sequence[tuple[str, Row]], needed: Columns | None) -> list[Any]:  # noqa: ARG001 - a batch's arguments
    return list(await search.highlights(operation, [found for _, found in edges]))


@strawberry.type(description="Something that was found, with its cursor.")
class SearchHitEdge:
    __source__: ClassVar[str] = "edge"

    edge: strawberry.Private[tuple[str, Any]]

    cursor: str = column(0, description="Where it stands in the results: opaque, and valid for this search only.")
    node: SearchHit = nested(Column(1, convert=_node), description="What was found.")
    score: float = column(
        1,
        convert=lambda found: found["score"],
        description="How well it fits, from 0 to 1: its words' share of what was looked for, rare words counting more; with `semantic` "
        "how near to the first it stands by words and by meaning.",
    )
    highlights: list[Highlight] = batch(
        _highlights,
        needs=None,
        description="At most 3 passages that show the words, in their order; its beginning where the words are not to be seen.",
    )


@strawberry.type(description="A page of what was found. Take `nodes` alone, or `edges` for scores and highlights.")
class SearchHitConnection:
    __source__: ClassVar[str] = "page"

    page: strawberry.Private[Page]

    edges: list[SearchHitEdge] = nested(Column("edges", attribute=True), description="What was found, the best first.")
    nodes: list[SearchHit] = nested(Column("rows", attribute=True, convert=_nodes), description="What was found, the best first.")
    page_info: PageInfo = nested(Column(), description="What lies before and after the page.")
    total_count: int | None = attribute("total", description="How much there is to be found; null, since counting it would be slow.")


async def _search(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    roots: Sequence[object],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,  # noqa: ARG001 - what is found is read whole
    query: Annotated[
        str,
        strawberry.argument(
            description="Words in any language, at most 200 characters. Their order, case and accents do not matter. Of scripts that put "
            "no spaces between words two characters are found anywhere, and one where it stands alone. Elsewhere one is found in the first "
            "5,000 characters of what was said of late: at most 1,000 messages that you may read, among the tenant's newest 4,000 that fit "
            "the other arguments. Reading them costs 500 points more."
        ),
    ],
    first: Annotated[int, strawberry.argument(description="How many results to return, from 1 to 100.")],
    types: Annotated[list[SearchType] | None, strawberry.argument(description="Only results of these types.")] = None,
    chat_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this chat and what was said in it.")] = None,
    author_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Only what this user wrote, and chats that they began.")
    ] = None,
    created_between: Annotated[TimeRange | None, strawberry.argument(description="Only what was begun in this span.")] = None,
    after: After = None,
    *,
    semantic: Annotated[
        bool, strawberry.argument(description="Whether to find messages too that mean about the same, where the installation can do that.")
    ] = False,
) -> list[Page]:
    question = Question(
        text=query,
        semantic=semantic,
        kinds=(CHAT, MESSAGE) if types is None else [name_of(kind) for kind in types],
        chat_id=None if chat_id is None else local_id(chat_id, "Chat", path=["chatId"]),
        author_id=None if author_id is None else local_id(author_id, "User", path=["authorId"]),
        since=None if created_between is None else created_between.from_,
        until=None if created_between is None else created_between.to,
    )
    return [await search.page(operation, asked(operation, first=first, after=after), question)]


@strawberry.type
class Query:
    search: SearchHitConnection = batch(
        _search,
        scopes=["chats:read"],
        cost=5,
        multipliers=["first"],
        description="Find chats and messages that you may read by words in them, the best first and of equal ones the newest. What has at "
        "least half of what was looked for is found, rare words counting more; where nothing has, what comes nearest to it.",
    )
