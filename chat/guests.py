"""Reading a chat by a link: what it shows and nothing else, to people who may be nobody here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from valkey.asyncio import Valkey

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.policies.shares import can_follow_share, can_share_chat, shows
from auth.standing import OPEN_TENANTS
from auth.throttle import place_of
from auth.tokens import hash_token, parse_share_token
from auth.viewers import Viewer
from chat.contents import NoticePart, Part, TextPart, opened
from chat.contexts import BEGINNING, END
from chat.headings import opened_titles
from db.scopes import Reading, Row, TenantScopes
from db.statements import chats, members, messages, shares, users
from errors import NotFound, Unauthenticated
from events.valkey import OUTAGES
from settings import Settings

SHOWN_ROLES: Final = ("USER", "ASSISTANT")


@dataclass(frozen=True)
class Showing:
    """What a link shows: a branch of a chat, or nothing yet; all that is read by it is read of this chat."""

    tenant_id: UUID
    share_id: UUID
    chat_id: UUID
    leaf_id: UUID | None
    cipher: TenantCipher
    live: bool
    title: str | None
    shared_by: str | None
    created_at: datetime
    expires_at: datetime | None


class Guests:
    """Opens links. Every read begins with the link, so a link that ended shows nothing from then on."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, valkey: Valkey, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._valkey = valkey
        self._settings = settings

    async def opened(self, token: str, viewer: Viewer | None, address: str) -> Showing:
        """Follow a link; raises `NotFound` for one that shows nothing to the viewer, and why is nobody's business.

        Only a link that is for members asks those who did not sign in to do so. The primary is asked: what was revoked is over at once.
        """
        gone = NotFound("There is nothing behind this link, or not for you.", path=("token",))
        if (tenant_id := parse_share_token(token)) is None:
            raise gone
        async with self._scopes.reading(tenant_id) as scope:
            share = await shares.by_token(scope, tenant_id, hash_token(token))
            if share is None or not shows(share, datetime.now(UTC)):
                raise gone
            chat = await chats.by_id(scope, tenant_id, share["chat_id"])
            maker = await _maker(scope, share)
            names = await users.names(scope, [share["created_by"]])
        if chat is None or maker is None or not can_share_chat(maker, chat, share["audience"]):
            raise gone
        if not can_follow_share(viewer, share):
            raise Unauthenticated("Sign in to follow this link.") if viewer is None else gone
        cipher = await self._keyring.cipher(tenant_id)
        if viewer is None or viewer.user_id != share["created_by"]:
            await self._count(cipher, share, address)
        return Showing(
            tenant_id=tenant_id, share_id=share["id"], chat_id=chat["id"], leaf_id=share["leaf_id"] or chat["head_message_id"],
            cipher=cipher, live=share["leaf_id"] is None, title=_title(cipher, share, chat), shared_by=names.get(share["created_by"]),
            created_at=share["created_at"], expires_at=share["expires_at"],
        )  # fmt: skip

    async def page(self, showing: Showing, *, newest_first: bool, beyond: int | None, limit: int) -> list[dict[str, Any]]:
        """Read a page of what a link shows, beyond a depth: what people and models said, without thoughts, and with names alone."""
        if showing.leaf_id is None:
            return []
        branch = (showing.chat_id, showing.leaf_id)
        above = BEGINNING if beyond is None or newest_first else beyond
        below = END if beyond is None or not newest_first else beyond
        async with self._scopes.reading(showing.tenant_id) as scope:
            pages = await messages.pages_of_branches(
                scope, showing.tenant_id, [branch], newest_first=newest_first, above=above, below=below, roles=SHOWN_ROLES, limit=limit
            )
            rows = pages.get(branch, [])
            names = await users.names(scope, {row["author_id"] for row in rows if row["author_id"] is not None})
        return [_shown(showing.cipher, row, names) for row in rows]

    async def _count(self, cipher: TenantCipher, share: Row, address: str) -> None:
        """Count a view: once in half an hour from the same place, of which nothing is kept but a keyed hash for so long."""
        place = cipher.hmac("share view", share["id"].bytes + place_of(address).encode())
        key = f"{self._settings.valkey_prefix}:{cipher.tenant_id}:viewed:{place.hex()}"
        try:
            is_first = await self._valkey.set(key, b"", nx=True, ex=self._settings.share_view_seconds)
        except OUTAGES:
            return
        if is_first:
            async with self._scopes.writing(cipher.tenant_id) as scope:
                await shares.count_view(scope, cipher.tenant_id, share["id"])


async def _maker(scope: Reading, share: Row) -> Viewer | None:
    """Return whoever made a link with what they may do now; None when they have left or the tenant is closed."""
    standing = await members.standing(scope, share["tenant_id"], share["created_by"])
    if standing is None or standing["member_status"] != "ACTIVE" or standing["tenant_status"] not in OPEN_TENANTS:
        return None
    return Viewer(
        tenant_id=share["tenant_id"], user_id=share["created_by"], role_id=standing["role_id"], scopes=frozenset(standing["scopes"])
    )


def _title(cipher: TenantCipher, share: Row, chat: Row) -> str | None:
    """A live link has the chat's title, a snapshot the one of its time."""
    if share["leaf_id"] is not None:
        return None if share["title"] is None else cipher.decrypt("chat_shares", "title", share["id"], share["title"]).decode()
    (title,) = opened_titles(cipher, [chat])
    if isinstance(title, Exception):
        raise title
    return title


def _shown(cipher: TenantCipher, row: Row, names: Mapping[UUID, str]) -> dict[str, Any]:
    parts: list[Part] = [part for part in opened(cipher, row["id"], row["content"]) if isinstance(part, TextPart | NoticePart)]
    return {
        "depth": row["depth"], "role": row["role"], "author_name": names.get(row["author_id"]), "status": row["status"],
        "created_at": row["created_at"], "parts": parts,
    }  # fmt: skip
