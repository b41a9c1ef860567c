"""What a model would be given in a chat, and making it shorter."""

from typing import NamedTuple
from uuid import UUID

from chat.assistants import opened_content, version_of_chat
from chat.compactions import NEVER, compacts_at
from chat.contexts import Window, read_branch, room_of, window_of
from db.scopes import Row
from db.statements import assistants
from errors import NotFound
from resolvers.operations import Operation


class Context(NamedTuple):
    """What a model would be given for the next answer in a chat: its id, how much it could be given, and what it would be."""

    model_id: UUID
    window: Window
    compacts_at: int | None


async def of_chat(operation: Operation, chat: Row, model_id: UUID | None) -> Context:
    """Look at the branch that ends with the chat's head, as a model sees it."""
    works, viewer = operation.works, operation.viewer
    offering = await works.models.offering(viewer.tenant_id, viewer.user_id)
    cipher = await works.keyring.cipher(viewer.tenant_id)
    async with operation.reads.reading(viewer.tenant_id) as scope:
        using = await version_of_chat(scope, viewer.tenant_id, chat["id"])
        versions = [] if using is None else await assistants.versions_by_ids(scope, viewer.tenant_id, [using["id"]])
        leaf_id = chat["head_message_id"]
        branch = [] if leaf_id is None else await read_branch(scope, viewer.tenant_id, chat["id"], leaf_id, works.settings)
    asked = model_id or (using["model_id"] if using else None) or offering.default_model_id
    if (model := offering.models.get(asked)) is None:
        raise NotFound("There is no Model with this id.", path=("model",))
    content = opened_content(cipher, versions[0]) if versions else None
    wanted = (content.parameters.max_output_tokens if content else None) or works.settings.model_max_output_tokens
    limit = room_of(model.context_tokens, model.max_output_tokens or model.context_tokens, wanted).limit
    percent = works.settings.context_compact_percent
    return Context(
        model.id, window_of(branch, content, cipher, limit=limit), None if percent == NEVER else compacts_at(limit, works.settings)
    )


async def compact(operation: Operation, chat_id: UUID) -> Row:
    """Begin a compaction."""
    return await operation.works.compactions.compact(operation.viewer, chat_id)
