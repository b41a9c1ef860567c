"""What an answer costs on the wire: its bytes over a real socket, frames and all, against the bytes of its text."""

from typing import Any

import aiohttp
import pytest

from settings import Settings
from tests.chat.talking import ask, new_chat
from tests.running import Api, running_server

# What a client needs to show an answer as it comes, to resume it, and to know its end.
EVENTS = """
    subscription ($runId: ID!, $coalesceMs: Int) {
      runEvents(runId: $runId, coalesceMs: $coalesceMs) {
        __typename seq
        ... on PartStarted { partId kind } ... on TextDelta { partId offset text } ... on RunFinished { run { status } }
      }
    }"""


@pytest.fixture
def shipped(lonely: dict[str, str]) -> dict[str, str]:
    """The settings of the telling as they are shipped."""
    return {name: value for name, value in lonely.items() if name not in {"PENNY_RUN_FLUSH_MS", "PENNY_RUN_SAVE_MS"}}


async def bytes_of(api: Api, run_id: str, **variables: Any) -> tuple[int, str]:
    """Follow a run, and return the bytes of all frames and the text that they told."""
    text, size = "", 0
    payload = {"Authorization": f"Bearer {api.token}"}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{api.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init", "payload": payload})
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": EVENTS, "variables": {"runId": run_id, **variables}}})
        async for message in socket:
            length = len(message.data.encode())
            size += length + (2 if length < 126 else 4 if length < 65_536 else 10)
            told = message.json()
            if told["type"] == "ping":
                await socket.send_json({"type": "pong"})
            if told["type"] == "next":
                text += told["payload"]["data"]["runEvents"].get("text", "")
            if told["type"] == "complete":
                break
    return size, text


async def test_ten_thousand_tokens_cost_at_most_three_times_their_text(shipped: dict[str, str]) -> None:
    """By the settings as they are shipped, from a model that says a thousand tokens a second or more."""
    shipped |= {"PENNY_MODEL_MAX_OUTPUT_TOKENS": "20000"}
    assert Settings.from_environment(shipped).run_flush_ms == 20
    async with running_server(shipped) as server, Api(server.url) as api:
        ada = await api.sign_up()
        size, text = await bytes_of(ada, await ask(ada, await new_chat(ada), "!script tokens=10000 delay_ms=0"))
        assert len(text.split()) == 10_000
        assert size <= 3 * len(text.encode()), f"{size / len(text.encode()):.2f}"


async def test_a_slower_model_costs_as_little_where_the_reader_lets_deltas_gather(shipped: dict[str, str]) -> None:
    """100 tokens a second, of an answer too short for the worker to gather much: `coalesceMs` does it."""
    async with running_server(shipped) as server, Api(server.url) as api:
        ada = await api.sign_up()
        run_id = await ask(ada, await new_chat(ada), "!script tokens=600 delay_ms=10")
        gathered, text = await bytes_of(ada, run_id, coalesceMs=500)
        assert len(text.split()) == 600
        assert gathered <= 3 * len(text.encode()), f"{gathered / len(text.encode()):.2f}"
