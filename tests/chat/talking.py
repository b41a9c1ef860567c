"""How tests hold a conversation through the API."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.running import Api

EVENTS = """
subscription ($runId: ID!, $after: Seq) {
  runEvents(runId: $runId, after: $after) {
    __typename seq at
    ... on RunQueued { position }
    ... on RunStarted { outputMessageIds }
    ... on PartStarted { partId kind messageId }
    ... on TextDelta { partId offset text }
    ... on PartCompleted { part { ... on TextPart { id text } } }
    ... on UsageTick { usage { inputTokens outputTokens } }
    ... on RunSnapshot { reason outputs { id parts { ... on TextPart { text } } } }
    ... on RunFinished { run { id status stopReason error { code message } outputs { status parts { ... on TextPart { text } } } } }
  }
}
"""
SEND = """
mutation ($input: MessageSendInput!) {
  messageSend(input: $input) { message { id } runs { id status } reused errors { __typename message code path } }
}
"""
CREATE = "mutation ($input: ChatCreateInput!) { chatCreate(input: $input) { chat { id title } errors { __typename message code path } } }"


@dataclass
class Heard:
    """What a reader heard of a run."""

    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events]

    @property
    def types(self) -> list[str]:
        return [event["__typename"] for event in self.events]

    @property
    def text(self) -> str:
        return "".join(event["text"] for event in self.events if event["__typename"] == "TextDelta")

    @property
    def end(self) -> dict[str, Any]:
        assert self.types[-1] == "RunFinished", self.types
        run: dict[str, Any] = self.events[-1]["run"]
        return run


async def new_chat(api: Api, title: str | None = None, *, key: str | None = None) -> str:
    payload = (await api.data(CREATE, input={"idempotencyKey": key or uuid4().hex, "title": title}))["chatCreate"]
    assert payload["errors"] == [], payload["errors"]
    return str(payload["chat"]["id"])


async def say(api: Api, chat_id: str, text: str, *, key: str | None = None, **more: Any) -> dict[str, Any]:
    """Send a message and return the payload."""
    given = {"chatId": chat_id, "content": [{"text": text}], "idempotencyKey": key or uuid4().hex, **more}
    payload: dict[str, Any] = (await api.data(SEND, input=given))["messageSend"]
    return payload


async def ask(api: Api, chat_id: str, text: str, *, key: str | None = None) -> str:
    """Send a message and return the id of the run that answers."""
    payload = await say(api, chat_id, text, key=key)
    assert payload["errors"] == [], payload["errors"]
    return str(payload["runs"][0]["id"])


async def hear(api: Api, run_id: str, *, after: int | None = None, until: int | None = None) -> Heard:
    """Follow a run to its end, or until so many events came."""
    heard = Heard()
    stream = api.subscribe(EVENTS, runId=run_id, after=after)
    async for payload in stream:
        assert "errors" not in payload, payload["errors"]
        heard.events.append(payload["data"]["runEvents"])
        if until is not None and len(heard.events) >= until:
            await stream.aclose()  # type: ignore[attr-defined] # an async generator
            break
    return heard


async def talk(api: Api, text: str) -> Heard:
    """Say one thing in a new chat and hear the answer."""
    return await hear(api, await ask(api, await new_chat(api), text))
