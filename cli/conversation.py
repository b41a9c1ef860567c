"""One conversation of a terminal: sends what is said, and writes the answer while it is made."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

from cli.api import Api, ApiIsAway, ApiRefused, Event, payload

NEWEST_CHAT: Final = "query NewestChat { chats(first: 1) { nodes { id title } } }"
CHAT: Final = "query Chat($id: ID!) { node(id: $id) { __typename ... on Chat { id title } } }"
CHAT_CREATE: Final = "mutation ChatCreate($input: ChatCreateInput!) { chatCreate(input: $input) { chat { id } errors { code message } } }"
MESSAGE_SEND: Final = (
    "mutation MessageSend($input: MessageSendInput!) { messageSend(input: $input) { runs { id } errors { code message } } }"
)
RUN_CANCEL: Final = "mutation RunCancel($input: RunCancelInput!) { runCancel(input: $input) { errors { code message } } }"
TITLE_LENGTH: Final = 60


class Answer:
    """What of an answer has been written; events that tell it again add nothing."""

    def __init__(self) -> None:
        self._written: dict[str, int] = {}

    def more(self, event: Event) -> str:
        """Return the text that an event adds."""
        match event["__typename"]:
            case "TextDelta":
                return self._beyond(event["partId"], event["offset"], event["text"])
            case "RunSnapshot":
                parts = [part for message in event["outputs"] for part in message["parts"] if part["__typename"] == "TextPart"]
                return "".join(self._beyond(part["id"], 0, part["text"]) for part in parts)
        return ""

    def _beyond(self, part: str, offset: int, text: str) -> str:
        written = self._written.get(part, 0)
        self._written[part] = max(written, offset + len(text))
        return text[max(0, written - offset) :]


class Conversation:
    """A chat and the run that answers in it; `write` gets the answer's text, `tell` what is to be said about it."""

    def __init__(self, api: Api, chat_id: str | None, *, write: Callable[[str], None], tell: Callable[[str], None]) -> None:
        self._api = api
        self._chat_id = chat_id
        self._write = write
        self._tell = tell
        self._run_id: str | None = None
        self._cancelling: asyncio.Task[None] | None = None

    async def say(self, text: str) -> None:
        """Send a message and write the answer; Ctrl-C stops the answer, a second one leaves it to itself."""
        with self._interruptible():
            if self._chat_id is None:
                self._chat_id = await self._begin(text)
            self._run_id = await self._send(self._chat_id, text)
            answer = Answer()
            async with contextlib.aclosing(self._api.follow(self._run_id)) as events:
                async for event in events:
                    self._write(printable(answer.more(event)))
                    if event["__typename"] == "RunFinished":
                        self._write("\n")
                        self._tell(_ending(event["run"]))

    async def _begin(self, text: str) -> str:
        title = text.strip().splitlines()[0][:TITLE_LENGTH]
        made = await self._api.insist(CHAT_CREATE, input={"idempotencyKey": str(uuid4()), "title": title})
        return str(payload(made)["chat"]["id"])

    async def _send(self, chat_id: str, text: str) -> str:
        given = {"chatId": chat_id, "content": [{"text": text}], "idempotencyKey": str(uuid4())}
        return str(payload(await self._api.insist(MESSAGE_SEND, input=given))["runs"][0]["id"])

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            if self._run_id is None or self._cancelling is not None:
                assert task is not None
                task.cancel()
            else:
                self._cancelling = asyncio.create_task(self._cancel(self._run_id))

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            if self._cancelling is not None:
                self._cancelling.cancel()
            self._run_id = self._cancelling = None

    async def _cancel(self, run_id: str) -> None:
        try:
            payload(await self._api.insist(RUN_CANCEL, input={"runId": run_id}))
        except (ApiRefused, ApiIsAway) as error:
            self._tell(f"The answer could not be stopped: {error}")


def _ending(run: Mapping[str, Any]) -> str:
    match run["status"]:
        case "COMPLETED":
            return ""
        case "CANCELLED":
            return "stopped"
        case "INCOMPLETE":
            return f"ended early: {str(run['stopReason']).lower().replace('_', ' ')}"
    return run["error"]["message"] if run["error"] else str(run["status"]).lower()


def printable(text: str) -> str:
    """Leave out what would steer the terminal: the text comes from a model, which may have read anything."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
