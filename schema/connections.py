"""Lists that are read page by page: a connection, its edges, and what lies before and after."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, Protocol, Self, TypeVar

import strawberry

from db.scopes import Row
from loaders.pages import Page, PageArguments
from schema.fields import Info, computed

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Count = Callable[[], Awaitable[int]]


class Dress(Protocol[T_co]):
    """Makes an object of the schema of a row: the class itself, where a row is all that it needs."""

    def __call__(self, *, row: Any) -> T_co: ...


@strawberry.type(description="What lies before and after a page.")
class PageInfo:
    page: strawberry.Private[Page]

    @computed(description="Whether there are more rows after this page.")
    def has_next_page(self) -> bool:
        return self.page.has_next

    @computed(description="Whether there are more rows before this page.")
    def has_previous_page(self) -> bool:
        return self.page.has_previous

    @computed(description="Cursor of the first row of the page, for `before`; null on an empty page.")
    def start_cursor(self) -> str | None:
        return self.page.cursors[0] if self.page.cursors else None

    @computed(description="Cursor of the last row of the page, for `after`; null on an empty page.")
    def end_cursor(self) -> str | None:
        return self.page.cursors[-1] if self.page.cursors else None


@strawberry.type(description="One row of a page with its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Where this row stands in the list: opaque, and valid for this list only.")
    node: T = strawberry.field(description="The row.")


@strawberry.type(description="A page of a list. Take `nodes` alone, or `edges` for each row's cursor.")
class Connection(Generic[T]):
    page: strawberry.Private[Page]
    dress: strawberry.Private[Callable[[Row], Any]]
    count: strawberry.Private[Count | None] = None

    @classmethod
    def of(cls, page: Page, dress: Dress[T], *, count: Count | None = None) -> Self:
        """Dress a page; `count` is asked for the whole list's length only when `totalCount` is selected."""
        return cls(page=page, dress=lambda row: dress(row=row), count=count)

    @computed(description="The rows of the page, each with its cursor.")
    def edges(self) -> list[Edge[T]]:
        return [Edge(cursor=cursor, node=self.dress(row)) for cursor, row in zip(self.page.cursors, self.page.rows, strict=True)]

    @computed(description="The rows of the page.")
    def nodes(self) -> list[T]:
        return [self.dress(row) for row in self.page.rows]

    @computed(description="What lies before and after the page.")
    def page_info(self) -> PageInfo:
        return PageInfo(page=self.page)

    @computed(description="How many rows the whole list has; null where counting them would be slow.")
    async def total_count(self) -> int | None:
        return self.page.total if self.count is None else await self.count()


First = Annotated[
    int | None, strawberry.argument(description="How many rows to return from the beginning or after `after`, from 1 to 100.")
]
Last = Annotated[int | None, strawberry.argument(description="How many rows to return from the end or before `before`, from 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="A cursor of this list; the page begins behind it.")]
Before = Annotated[str | None, strawberry.argument(description="A cursor of this list; the page ends before it.")]


def asked(
    info: Info, *, first: int | None = None, last: int | None = None, after: str | None = None, before: str | None = None
) -> PageArguments:
    """Check a connection's arguments against the settings; raises `Invalid`."""
    return PageArguments.checked(first, last, after, before, limit=info.context.works.settings.graphql_max_page)
