"""Exports: a chat as a text to take away."""

import enum
from collections.abc import Sequence
from typing import Annotated

import strawberry

from db.scopes import Row
from resolvers import exports
from resolvers.operations import Operation
from schema.ids import local_id


@strawberry.enum(description="What an export looks like.")
class ChatExportFormat(enum.Enum):
    JSON = strawberry.enum_value(
        "JSON", description="For programs: the whole tree of messages, in a versioned form that PENNY's docs describe."
    )
    MARKDOWN = strawberry.enum_value("MARKDOWN", description="For people: one branch.")


@strawberry.type(description="A chat as a text to take away.")
class ChatExport:
    file_name: str = strawberry.field(description="What to call the file.")
    media_type: str = strawberry.field(description="Its media type.")
    content: str = strawberry.field(description="The text.")
    next: str | None = strawberry.field(description="What to give as `after` for the next part; null for the last one, or the only one.")


async def exports_of_chats(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    rows: Sequence[Row],
    needed: object,  # noqa: ARG001 - a batch's arguments
    format: Annotated[ChatExportFormat, strawberry.argument(description="What it looks like.")],
    leaf: Annotated[
        strawberry.ID | None,
        strawberry.argument(
            description="The message that the branch ends with. Without it JSON has the whole tree, and Markdown the head's branch."
        ),
    ] = None,
    in_parts: Annotated[  # noqa: FBT002 - an argument of the API
        bool,
        strawberry.argument(
            description="Whether what is too long for one text comes in parts, as `next` says; without it, that is an error. Parts of "
            "MARKDOWN are one text together; each part of JSON is whole by itself, with messages of its own."
        ),
    ] = False,
    after: Annotated[
        str | None, strawberry.argument(description="The `next` of the part before, of the same format; `leaf` is what it was then.")
    ] = None,
) -> list[ChatExport | Exception]:
    """Write chats out."""
    leaf_id = None if leaf is None else local_id(leaf, "Message", path=["leaf"])
    as_json = format is ChatExportFormat.JSON
    found = await exports.of_chats(operation, rows, as_json=as_json, leaf_id=leaf_id, in_parts=in_parts, after=after)
    return [one if isinstance(one, Exception) else _dressed(one) for one in found]


def _dressed(part: exports.Part) -> ChatExport:
    return ChatExport(file_name=part.export.name, media_type=part.export.media_type, content=part.export.text, next=part.next)
