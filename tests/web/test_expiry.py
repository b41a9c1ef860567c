"""A credential that has run out: refused with its reason, and on a socket with the code after which clients try again."""

import aiohttp
import asyncpg

from auth.tokens import hash_token
from stack.addresses import Addresses
from tests.running import Api, Server, running_web

EXPIRE = "UPDATE penny.sessions SET expires_at = now() - interval '1 second' WHERE token_hash = $1"


async def closed_with(server_url: str, token: str) -> int | None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server_url}/graphql", protocols=["graphql-transport-ws"]) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        answered = (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT
        return None if answered else socket.close_code


async def test_an_expired_session_is_told_so_and_its_sockets_may_come_again(
    api: Api, server: Server, stack: Addresses, database: str
) -> None:
    ada = await api.sign_up()
    assert ada.token
    assert await closed_with(server.url, ada.token) is None, "the session works before"
    admin = await asyncpg.connect(stack.database_url("postgres", database))
    assert await admin.execute(EXPIRE, hash_token(ada.token)) == "UPDATE 1"
    await admin.close()
    async with running_web(dict(server.environment)) as (url, _):  # which has not seen the session before
        async with Api(url, ada.token) as elsewhere:
            refused = (await elsewhere.post("{ viewer { permissions } }"))["errors"][0]
        assert refused["extensions"]["code"] == "TOKEN_EXPIRED"
        assert await closed_with(url, ada.token) == 4403
