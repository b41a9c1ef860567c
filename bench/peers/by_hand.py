"""The same answers written by hand for exactly these questions, and a constant one: how fast Python could be, and what HTTP alone costs."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import asyncpg
import orjson

from bench.peers.reading import open_pool, parts, rows, title

PAGE, OPEN = "/chats", "/chat"
CONSTANT = "/constant"
_bodies: dict[bytes, bytes] = {}
Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    """An ASGI application without a framework."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool | None = None

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = _constant(scope["query_string"]) if scope["path"] == CONSTANT else orjson.dumps({"data": await self._data(scope)})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        await receive()
        self._pool = await open_pool()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _data(self, scope: dict[str, Any]) -> Any:
        given = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        headers = dict(scope["headers"])
        tenant_id, user_id = headers[b"x-tenant"].decode(), UUID(headers[b"x-user"].decode())
        if scope["path"] == OPEN:
            found = await rows(self._pool, tenant_id, "chat", UUID(given["id"].removeprefix("chat_")), user_id)
            return {"node": _chat(tenant_id, found[0]) if found else None}
        chats = await rows(self._pool, tenant_id, "chats", user_id, int(given["first"]))
        if "last" not in given:
            return {"chats": {"nodes": [_line(tenant_id, row) for row in chats]}}
        nodes = [_chat(tenant_id, row) for row in chats]
        for node in nodes:
            node["messages"] = {"nodes": []}
        ids = [row["id"] for row in chats], [row["head_message_id"] for row in chats]
        for row in await rows(self._pool, tenant_id, "messages", *ids, int(given["last"])):
            nodes[row["ordinal"] - 1]["messages"]["nodes"].append(_message(tenant_id, row))
        return {"chats": {"nodes": nodes}}


def _constant(query: bytes) -> bytes:
    """Give as many bytes as the query says."""
    if query not in _bodies:
        _bodies[query] = b'{"data":"%s"}' % (b"x" * int(query))
    return _bodies[query]


def _chat(tenant_id: str, row: asyncpg.Record) -> dict[str, Any]:
    opened = title(tenant_id, row)
    return {"id": f"chat_{row['id'].hex}", "title": opened, "createdAt": row["created_at"], "updatedAt": row["updated_at"]}


def _line(tenant_id: str, row: asyncpg.Record) -> dict[str, Any]:
    return {"id": f"chat_{row['id'].hex}", "title": title(tenant_id, row), "updatedAt": row["updated_at"]}


def _message(tenant_id: str, row: asyncpg.Record) -> dict[str, Any]:
    said = [{"text": part.text} for part in parts(tenant_id, row)]
    return {"id": f"msg_{row['id'].hex}", "role": row["role"], "createdAt": row["created_at"], "parts": said}


app = App()
