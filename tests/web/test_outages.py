"""What callers are told while a server that PENNY needs is away, or PENNY itself goes."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.api.following import VIEWER, following, now
from tests.chat.talking import EVENTS, ask, new_chat
from tests.running import Api, Server, free_port, running, running_web
from web.works import Process

SIGN_IN = 'mutation { signIn(input: {email: "a@example.com", password: "wrong horse battery"}) { errors { code } } }'


async def answers(url: str) -> None:
    """Wait until the process answers at all; it is not ready, for a part of it is down."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health/live"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def test_a_missing_valkey_is_named_and_nobody_signs_in_unthrottled(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    without = {**environment, "PENNY_PORT": str(port), "PENNY_VALKEY_URL": f"unix://{tmp_path}/none?db=0"}
    async with running(without, "serve"):
        await asyncio.wait_for(answers(url), 30)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/health/ready") as answer:
            parts = (await answer.json())["parts"]
            assert answer.status == 503
        assert parts.pop("valkey") != "ok"
        assert set(parts.values()) == {"ok"}
        async with Api(url) as api:
            assert (await api.post(SIGN_IN))["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
            assert "errors" not in await api.post("{ apiInfo { version } }")


async def test_a_missing_database_is_named_and_told_as_unavailable(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    nowhere = f"postgresql://penny_system@/none?host={tmp_path}&port=5432"
    without = {**environment, "PENNY_PORT": str(port), "PENNY_DATABASE_SYSTEM_URL": nowhere}
    async with running(without, "serve"):
        await asyncio.wait_for(answers(url), 30)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/health/ready") as answer:
            assert answer.status == 503
            assert (await answer.json())["parts"]["postgresql_system"] != "ok"
        async with Api(url) as api:
            refused = (await api.post(SIGN_IN))["errors"][0]
    assert refused["extensions"]["code"] == "UNAVAILABLE"
    assert str(tmp_path) not in refused["message"]


async def test_a_stopping_process_asks_its_sockets_to_come_again(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=400 delay_ms=10")
    async with running_web(dict(server.environment)) as (url, web), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]) as socket:
            await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {ada.token}"}})
            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": EVENTS, "variables": {"runId": run_id}}})
            assert (await socket.receive_json())["type"] == "connection_ack"
            assert (await socket.receive_json())["type"] == "next"
            web.send_signal(signal.SIGTERM)
            while (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert socket.close_code == 1012
        assert await asyncio.wait_for(web.wait(), 20) == -signal.SIGTERM, "uvicorn ends in order, and then by the signal it was sent"
    await ada.data("mutation ($id: ID!) { runCancel(input: {runId: $id}) { alreadyFinished } }", id=run_id)


async def test_who_follows_events_is_asked_to_come_again_and_goes_on_by_the_cursor(api: Api, server: Server, process: Process) -> None:
    """Nothing is lost, and nothing told twice, of what happened before, while and after the process stopped."""
    ada = await api.sign_up()
    begin = await now(ada, process)
    async with running_web(dict(server.environment)) as (url, web), Api(url) as elsewhere:
        async with following(elsewhere.as_(ada.token), VIEWER, after=begin) as stopped:
            made = [await new_chat(ada) for _ in range(3)]
            await stopped.hears(2)
            web.send_signal(signal.SIGTERM)
            made.append(await new_chat(ada))
            with pytest.raises(ConnectionError, match="1012"):
                await stopped.task
        made.append(await new_chat(ada))
        async with following(ada, VIEWER, after=stopped.cursor) as resumed:
            await resumed.hears(len(made) - len(stopped.told))
            last = await new_chat(ada)
            await resumed.until(lambda one: one.told[-1]["chatId"] == last)
    assert [event["chatId"] for event in (*stopped.told, *resumed.told)] == [*made, last]
