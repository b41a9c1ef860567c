"""Whom a chat is shared with: an owner adds people, changes their roles and takes them out; everybody may leave."""

from uuid import UUID

from uuid_utils.compat import uuid7

from auth.policies.chats import can_manage_chat
from auth.viewers import Viewer
from chat.locks import visible
from db.scopes import Row, TenantScopes, Writing
from db.statements import chats, members, participants
from db.tables.chats import Chat
from db.tables.participants import ChatParticipant
from errors import Conflict, Invalid, NotFound, PermissionDenied
from events.facts import ChatUpdated, audience_of, record
from settings import Settings


class OwnerStays(Conflict):
    """Whoever began a chat is no participant of it."""

    def __init__(self) -> None:
        super().__init__("Whoever began the chat stays its owner.", path=("userId",))


class Participants:
    """Sets who takes part in chats; what somebody sees of a chat ends within seconds after they were taken out."""

    def __init__(self, *, scopes: TenantScopes, settings: Settings) -> None:
        self._scopes = scopes
        self._settings = settings

    async def put(self, viewer: Viewer, chat_id: UUID, user_id: UUID, role: str | None) -> Row | None:
        """Give somebody a role in a chat, or none any more; a private chat is shared from its first participant on."""
        async with self._scopes.writing(viewer.tenant_id) as scope:
            chat = await visible(scope, viewer, chat_id)
            leaves = role is None and user_id == viewer.user_id
            if not leaves and not can_manage_chat(viewer, chat):
                raise PermissionDenied("Only the chat's owners decide who takes part.", required_scopes=("chats:write",))
            if user_id == chat["owner_id"]:
                raise OwnerStays
            await record(scope, viewer.tenant_id, ChatUpdated(chat_id=chat_id, before=audience_of(chat)), by=viewer)
            if role is None:
                await participants.remove(scope, viewer.tenant_id, chat_id, user_id)
                return None
            return await self._added(scope, chat, user_id, role)

    async def _added(self, scope: Writing, chat: Row, user_id: UUID, role: str) -> Row:
        tenant_id, most = chat["tenant_id"], self._settings.chat_max_participants
        if await members.standing(scope, tenant_id, user_id) is None:
            raise NotFound("There is no member with this id.", path=("userId",))
        if user_id not in chat["participant_ids"] and len(chat["participant_ids"]) >= most:
            raise Invalid(f"A chat has at most {most} participants.", path=("userId",), constraint=f"max_items={most}")
        if chat["visibility"] == "PRIVATE":
            chat = await chats.change(scope, tenant_id, chat["id"], {Chat.visibility: "SHARED"}) or chat
        return await participants.put(
            scope, chat, ChatParticipant(tenant_id=tenant_id, id=uuid7(), chat_id=chat["id"], user_id=user_id, role=role)
        )
