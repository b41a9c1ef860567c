"""Links: fields that lead from a row to another node, through a question that all the rows of a level share."""

from dataclasses import dataclass
from typing import Any

import strawberry

from schema.fields import Info
from schema.nodes import kinds


@dataclass(frozen=True)
class Link:
    """What a field's declaration says of it: the question asked, the column that holds the key, and the node it makes.

    Without a question, the node's own `find` is asked, which knows who may see it.
    """

    question: str | None
    column: str
    to: str


def link(question: str, *, column: str, to: str, description: str) -> Any:
    """Declare a field that is the node named `to`, found by asking `question` with a column of the row.

    The node is named, not imported: nouns link to one another in circles. A row that came along in
    `known`, under the question's name, is not asked for.
    """

    async def follow(root: Any, info: Info) -> Any:
        key = root.row[column]
        row = root.known.get(question) if root.known else None
        if row is None and key is not None:
            row = await getattr(info.context.questions, question).load(key)
        return None if row is None else kinds()[to](row=row)

    return strawberry.field(resolver=follow, description=description, metadata={"link": Link(question, column, to)})


def visible(to: str, *, column: str, description: str) -> Any:
    """Declare a field that is the node named `to` as `node` would find it: null where the viewer may not see it."""

    async def follow(root: Any, info: Info) -> Any:
        key = root.row[column]
        return None if key is None else await kinds()[to].find(info.context, key)

    return strawberry.field(resolver=follow, description=description, metadata={"link": Link(None, column, to)})
