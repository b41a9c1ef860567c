"""A chat's row, locked for whoever changes what is in it, as far as the viewer may: every work on a chat begins here."""

from uuid import UUID

from auth.policies.chats import can_manage_chat, can_read_chat, can_write_chat
from auth.viewers import Viewer
from db.scopes import Row, Writing
from db.statements import chats
from errors import Conflict, NotFound, PermissionDenied


class ChatIsArchived(Conflict):
    """Nothing can be said in an archived chat."""

    def __init__(self) -> None:
        super().__init__("The chat is archived; take it out of the archive first.", path=("chatId",))


async def visible(scope: Writing, viewer: Viewer, chat_id: UUID, missing: NotFound | None = None) -> Row:
    """Lock a chat that the viewer sees; raises `missing` where there is none, or none for them."""
    chat = await chats.locked(scope, viewer.tenant_id, chat_id)
    if chat is None or not can_read_chat(viewer, chat):
        raise missing or NotFound("There is no Chat with this id.", path=("chatId",))
    return chat


async def writable(scope: Writing, viewer: Viewer, chat_id: UUID, missing: NotFound | None = None) -> Row:
    """Lock a chat that the viewer may change."""
    chat = await visible(scope, viewer, chat_id, missing)
    if not can_write_chat(viewer, chat):
        raise PermissionDenied("Only the chat's editors and owners may do this.", required_scopes=("chats:write",))
    return chat


async def manageable(scope: Writing, viewer: Viewer, chat_id: UUID, missing: NotFound | None = None) -> Row:
    """Lock a chat of which the viewer decides who sees it."""
    chat = await visible(scope, viewer, chat_id, missing)
    if not can_manage_chat(viewer, chat):
        raise PermissionDenied("Only the chat's owners may do this.", required_scopes=("chats:write",))
    return chat


async def speakable(scope: Writing, viewer: Viewer, chat_id: UUID, missing: NotFound | None = None) -> Row:
    """Lock a chat in which the viewer may say something now."""
    chat = await writable(scope, viewer, chat_id, missing)
    if chat["archived_at"] is not None:
        raise ChatIsArchived
    return chat
