"""Exports: a chat as a text to take away."""

import enum
from collections.abc import Sequence
from typing import Annotated

import strawberry

from chat.exports import Export
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


async def exports_of_chats(
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
) -> list[ChatExport | Exception]:
    """Write chats out."""
    leaf_id = None if leaf is None else local_id(leaf, "Message", path=["leaf"])
    found = await exports.of_chats(operation, rows, as_json=format is ChatExportFormat.JSON, leaf_id=leaf_id)
    return [
        ChatExport(file_name=one.name, media_type=one.media_type, content=one.text) if isinstance(one, Export) else one for one in found
    ]
