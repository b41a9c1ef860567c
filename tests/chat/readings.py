"""What people read of a world's chats: exports, links and search, each with all that it should have, and nothing that is gone."""

import json
from typing import Any
from uuid import UUID

from auth.policies.chats import can_read_chat
from auth.policies.shares import can_follow_share, can_share_chat
from auth.viewers import Viewer
from chat.contents import TextPart
from chat.exports import Wish
from chat.guests import SHOWN_ROLES
from errors import NotFound, Unauthenticated
from knowledge.search import Question
from tests.chat.worlds import WORD, Link, World

SEARCHED = 3


async def read(world: World) -> None:
    """Read all that can be read; fail where something is missing, or there though it is gone."""
    for viewer in world.editors:
        await exports_are_whole(world, viewer)
        await words_are_found(world, viewer)
    for link in world.links.values():
        for reader in (None, *world.editors):
            await a_link_shows_what_it_should(world, link, reader)


async def exports_are_whole(world: World, viewer: Viewer) -> None:
    exports, scopes = world.works.exports, world.works.scopes
    for chat in world.tree.chats.values():
        if not can_read_chat(viewer, chat):
            assert await refused(exports.write(scopes, viewer, chat["id"], Wish(as_json=True))) is NotFound
            continue
        text = (await exports.write(scopes, viewer, chat["id"], Wish(as_json=True))).text
        whole = json.loads(text)
        wanted = {
            str(row["id"]): row["parent_id"] and str(row["parent_id"])
            for row in world.tree.messages.values()
            if row["chat_id"] == chat["id"]
        }
        assert {one["id"]: one["parentId"] for one in whole["messages"]} == wanted
        assert not world.gone.intersection(WORD.findall(text))
        for leaf in world.tree.leaves(chat["id"]):
            text = (await exports.write(scopes, viewer, chat["id"], Wish(as_json=False, leaf_id=leaf))).text
            assert not world.gone.intersection(WORD.findall(text))
            said = {word for one in world.tree.path(leaf) for word in WORD.findall(world.tree.text(one))}
            assert said <= set(WORD.findall(text)), "a branch is exported with all that it says"


async def words_are_found(world: World, viewer: Viewer) -> None:
    """Each word finds the messages that say it and may be read, and nothing else; what is gone finds nothing."""
    said: dict[str, set[UUID]] = {}
    for row in world.tree.messages.values():
        if row["status"] not in {"PENDING", "STREAMING"} and row["role"] != "SUMMARY":
            for word in WORD.findall(world.tree.text(row["id"])):
                said.setdefault(word, set()).add(row["id"])
    for word in [*list(said)[-SEARCHED:], *list(world.gone)[-SEARCHED:]]:
        question = Question(text=word, kinds=("MESSAGE",))
        found = await world.works.search.find(world.works.scopes, viewer, world.cipher, question, place=None, limit=1000)
        readable = {one for one in said.get(word, set()) if can_read_chat(viewer, world.tree.chats[world.tree.messages[one]["chat_id"]])}
        assert {hit.id for hit in found.hits} == readable


async def a_link_shows_what_it_should(world: World, link: Link, reader: Viewer | None) -> None:
    share = world.tree.shares.get(link.share_id)
    chat = None if share is None else world.tree.chats[share["chat_id"]]
    opening = world.works.guests.opened(link.token, reader, "127.0.0.1")
    if share is None or share["revoked_at"] or not can_share_chat(link.maker, chat or {}, share["audience"]):
        assert await refused(opening) is NotFound
        return
    if not can_follow_share(reader, share):
        assert await refused(opening) is (Unauthenticated if reader is None else NotFound)
        return
    showing = await opening
    assert chat is not None
    rows = await world.works.guests.page(showing, newest_first=False, beyond=None, limit=10_000)
    head = [] if chat["head_message_id"] is None else world.tree.path(chat["head_message_id"])
    wanted = [one for one in (head if share["leaf_id"] is None else link.messages) if world.tree.messages[one]["role"] in SHOWN_ROLES]
    assert [(row["role"], row["status"], texts(row["parts"])) for row in rows] == [
        (world.tree.messages[one]["role"], world.tree.messages[one]["status"], texts(world.tree.parts[one])) for one in wanted
    ]
    assert showing.title in ({world.title(chat)} if share["leaf_id"] is None else {link.title, None})
    assert not world.gone.intersection(WORD.findall(f"{showing.title} {rows}"))


def texts(parts: list[Any]) -> list[str]:
    return [part.text for part in parts if isinstance(part, TextPart)]


async def refused(asked: Any) -> type[Exception] | None:
    try:
        await asked
    except (NotFound, Unauthenticated) as refusal:
        return type(refusal)
    return None
