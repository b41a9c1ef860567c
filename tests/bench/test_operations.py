"""What is asked and answered: the same for everybody, or it is noticed."""

import json
from uuid import UUID

import pytest

from bench import operations
from bench.operations import ONE, TWENTY
from bench.worlds import Person

CHAT, MESSAGE = UUID(int=7), UUID(int=8)
PERSON = Person(UUID(int=1), UUID(int=2), "a token", "00", (CHAT,))
PENNY = {
    "chats": {
        "nodes": [
            {
                "id": f"chat_{CHAT.hex}",
                "title": "Rivers",
                "createdAt": "2026-11-22T10:00:00.000Z",
                "updatedAt": "2026-11-22T11:00:00.000Z",
                "messages": {
                    "nodes": [
                        {
                            "id": f"msg_{MESSAGE.hex}",
                            "role": "USER",
                            "createdAt": "2026-11-22T10:30:00.000Z",
                            "parts": [{"text": "What do "}, {"text": "rivers keep?"}],
                        }
                    ]
                },
            }
        ]
    }
}
POSTGRAPHILE = {
    "allChats": {
        "nodes": [
            {
                "rowId": str(CHAT),
                "openTitle": "Rivers",
                "createdAt": "2026-11-22T10:00:00.000000+00:00",
                "updatedAt": "2026-11-22T12:00:00+01",
                "messagesByTenantIdAndChatId": {
                    "nodes": [
                        {
                            "rowId": str(MESSAGE),
                            "role": "USER",
                            "createdAt": "2026-11-22T10:30:00+00",
                            "text": "What do rivers keep?",
                        }
                    ]
                },
            }
        ]
    }
}


def said(data: object) -> list[object]:
    return operations.content(json.dumps({"data": data}).encode())


def test_the_same_content_is_the_same_however_it_is_spelled() -> None:
    assert said(PENNY) == said(POSTGRAPHILE)


@pytest.mark.parametrize(("before", "after"), [("Rivers", "Lakes"), ("keep?", "keep"), ("10:30", "10:31"), ("USER", "TOOL"), ("07", "09")])
def test_any_other_content_is_noticed(before: str, after: str) -> None:
    changed = json.loads(json.dumps(POSTGRAPHILE).replace(before, after))
    assert said(changed) != said(PENNY)


def test_one_chat_is_compared_as_a_list_of_one_is() -> None:
    chat = {name: value for name, value in PENNY["chats"]["nodes"][0].items() if name != "messages"}
    row = {name: value for name, value in POSTGRAPHILE["allChats"]["nodes"][0].items() if not name.startswith("messages")}
    assert said({"node": chat}) == said({"chatByTenantIdAndRowId": row}) == said({"chats": {"nodes": [chat]}})


def test_penny_is_asked_by_a_session_and_a_peer_by_name() -> None:
    penny, peer = (asking(TWENTY, PERSON, CHAT) for asking in (operations.as_penny, operations.as_peer))
    assert b"authorization: Bearer a token\r\n" in penny
    assert b"x-tenant" not in penny
    assert f"x-tenant: {PERSON.tenant_id}\r\nx-user: {PERSON.user_id}\r\n".encode() in peer
    assert penny.partition(b"\r\n\r\n")[2] == peer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("asking", [operations.as_penny, operations.as_peer, operations.as_postgraphile])
def test_a_request_says_how_long_it_is(asking: operations.Asking) -> None:
    head, _, body = asking(ONE, PERSON, CHAT).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert CHAT.hex in body.decode().replace("-", "")
