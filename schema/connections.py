"""Lists that are read page by page: a connection, its edges, and what lies before and after."""

from typing import Annotated, Any, ClassVar, Generic, TypeVar

import strawberry

from execution import Column
from loaders.pages import Page, PageArguments
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.fields import attribute, batch, column, nested

T = TypeVar("T")


async def _total_counts(operation: Operation, pages: list[Page], needed: object) -> list[int | None]:  # noqa: ARG001 - a batch's arguments
    return [page.total if page.count is None else await page.count() for page in pages]


@strawberry.type(description="What lies before and after a page.")
class PageInfo:
    __source__: ClassVar[str] = "page"

    page: strawberry.Private[Page]

    has_next_page: bool = attribute("has_next", description="Whether there are more rows after this page.")
    has_previous_page: bool = attribute("has_previous", description="Whether there are more rows before this page.")
    start_cursor: str | None = attribute(
        "start_cursor", description="Cursor of the first row of the page, for `before`; null on an empty page."
    )
    end_cursor: str | None = attribute("end_cursor", description="Cursor of the last row of the page, for `after`; null on an empty page.")


@strawberry.type(description="One row of a page with its cursor.")
class Edge(Generic[T]):
    __source__: ClassVar[str] = "edge"

    edge: strawberry.Private[tuple[str, Any]]

    cursor: str = column(0, description="Where this row stands in the list: opaque, and valid for this list only.")
    node: T = nested(Column(1, carried=True), description="The row.")


@strawberry.type(description="A page of a list. Take `nodes` alone, or `edges` for each row's cursor.")
class Connection(Generic[T]):
    __source__: ClassVar[str] = "page"

    page: strawberry.Private[Page]

    edges: list[Edge[T]] = nested(Column("edges", attribute=True, carried=True), description="The rows of the page, each with its cursor.")
    nodes: list[T] = nested(Column("rows", attribute=True, carried=True), description="The rows of the page.")
    page_info: PageInfo = nested(Column(), description="What lies before and after the page.")
    total_count: int | None = batch(
        _total_counts, kept_for=KeptFor.STANDING, description="How many rows the whole list has; null where counting them would be slow."
    )


First = Annotated[
    int | None, strawberry.argument(description="How many rows to return from the beginning or after `after`, from 1 to 100.")
]
Last = Annotated[int | None, strawberry.argument(description="How many rows to return from the end or before `before`, from 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="A cursor of this list; the page begins behind it.")]
Before = Annotated[str | None, strawberry.argument(description="A cursor of this list; the page ends before it.")]


def asked(
    operation: Operation, *, first: int | None = None, last: int | None = None, after: str | None = None, before: str | None = None
) -> PageArguments:
    """Check a connection's arguments against the settings; raises `Invalid`."""
    return PageArguments.checked(first, last, after, before, limit=operation.works.settings.graphql_max_page)
