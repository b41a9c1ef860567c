"""How vendors put an answer on the wire: the pieces of a whole stream, in each vendor's format, with all the fields that it sends."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from inference.models import FailureKind, StopReason, Usage

USED = Usage(input_tokens=70, output_tokens=15, cache_read_tokens=30, reasoning_tokens=5)


class Speech(ABC):
    """A vendor's format. A stream is its opening, one piece for each thought and word, and its ending."""

    path: ClassVar[str]
    # How the vendor refuses: the status, and the words of its error.
    refusals: ClassVar[dict[FailureKind, tuple[int, str, str]]]

    @abstractmethod
    def opening(self, used: Usage) -> list[bytes]: ...
    @abstractmethod
    def thought(self, text: str) -> bytes: ...
    @abstractmethod
    def word(self, text: str) -> bytes: ...
    @abstractmethod
    def ending(self, stop: StopReason, used: Usage, said: str) -> list[bytes]: ...
    @abstractmethod
    def error(self, kind: FailureKind) -> bytes:
        """An error in a stream that had begun."""

    @abstractmethod
    def refusal(self, kind: FailureKind) -> bytes:
        """The body of an answer that was refused."""

    def malformed(self) -> bytes:
        return b"event: nonsense\ndata: {nonsense\n\n"

    def stream(
        self, words: Sequence[str], *, thoughts: Sequence[str] = (), stop: StopReason = StopReason.END_TURN, used: Usage = USED
    ) -> list[bytes]:
        """A whole answer, piece by piece as it is written to the connection."""
        said = [*map(self.thought, thoughts), *map(self.word, words)]
        return [*self.opening(used), *said, *self.ending(stop, used, "".join(words))]


def plain(content: object) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def named(content: dict[str, Any]) -> bytes:
    return f"event: {content['type']}\n".encode() + plain(content)


class ChatSpeech(Speech):
    """OpenAI's chat completions."""

    path = "/v1/chat/completions"
    reasons: ClassVar = {StopReason.END_TURN: "stop", StopReason.MAX_TOKENS: "length", StopReason.CONTENT_POLICY: "content_filter"}
    refusals: ClassVar = {
        FailureKind.RATE_LIMIT: (429, "rate_limit_exceeded", "Rate limit reached"),
        FailureKind.TIMEOUT: (504, "timeout", "The request timed out"),
        FailureKind.SERVER_ERROR: (500, "server_error", "The server had an error"),
        FailureKind.CONTEXT_WINDOW: (400, "context_length_exceeded", "This model's maximum context length is 4096 tokens"),
        FailureKind.CONTENT_POLICY: (400, "content_filter", "The response was filtered"),
        FailureKind.AUTH: (401, "invalid_api_key", "Incorrect API key provided"),
        FailureKind.BUDGET: (429, "insufficient_quota", "You exceeded your current quota"),
    }

    def opening(self, used: Usage) -> list[bytes]:
        return [self._chunk({"role": "assistant", "content": ""})]

    def thought(self, text: str) -> bytes:
        return self._chunk({"reasoning_content": text})

    def word(self, text: str) -> bytes:
        return self._chunk({"content": text})

    def ending(self, stop: StopReason, used: Usage, said: str) -> list[bytes]:
        usage = {
            "prompt_tokens": used.input_tokens + used.cache_read_tokens + used.cache_write_tokens,
            "completion_tokens": used.output_tokens + used.reasoning_tokens,
            "prompt_tokens_details": {"cached_tokens": used.cache_read_tokens, "cache_write_tokens": used.cache_write_tokens},
            "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        }
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]  # type: ignore[operator] # both are numbers
        return [self._chunk({}, finish=self.reasons[stop]), self._event([], usage=usage), b"data: [DONE]\n\n"]

    def error(self, kind: FailureKind) -> bytes:
        return plain({"error": self._error(kind)})

    def refusal(self, kind: FailureKind) -> bytes:
        return json.dumps({"error": self._error(kind)}).encode()

    def _chunk(self, delta: dict[str, str], *, finish: str | None = None) -> bytes:
        return self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])

    def _event(self, choices: list[Any], usage: Any = None) -> bytes:
        known = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "service_tier": "default"}
        return plain(known | {"system_fingerprint": None, "choices": choices, "usage": usage})

    def _error(self, kind: FailureKind) -> dict[str, Any]:
        _, code, message = self.refusals[kind]
        return {"message": message, "type": code, "param": None, "code": code}


class ResponsesSpeech(Speech):
    """OpenAI's responses."""

    path = "/v1/responses"
    refusals: ClassVar = ChatSpeech.refusals
    place: ClassVar[dict[str, Any]] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    def opening(self, used: Usage) -> list[bytes]:
        return [
            named(self._event("response.created", response=self._response("in_progress"))),
            named(self._event("response.in_progress", response=self._response("in_progress"))),
            named(self._event("response.output_item.added", output_index=0, item=self._item("in_progress"))),
            named(self._event("response.content_part.added", **self.place, part=self._part(""))),
        ]

    def thought(self, text: str) -> bytes:
        where = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
        return named(self._event("response.reasoning_summary_text.delta", delta=text, **where))

    def word(self, text: str) -> bytes:
        return named(self._event("response.output_text.delta", delta=text, logprobs=[], **self.place))

    def ending(self, stop: StopReason, used: Usage, said: str) -> list[bytes]:
        usage = {
            "input_tokens": used.input_tokens + used.cache_read_tokens + used.cache_write_tokens,
            "input_tokens_details": {"cached_tokens": used.cache_read_tokens, "cache_write_tokens": used.cache_write_tokens},
            "output_tokens": used.output_tokens + used.reasoning_tokens,
            "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        }
        usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]  # type: ignore[operator] # both are numbers
        status = "completed" if stop is StopReason.END_TURN else "incomplete"
        item = self._item(status, self._part(said))
        response = self._response(status, usage=usage, output=[item])
        if status == "incomplete":
            reason = "max_output_tokens" if stop is StopReason.MAX_TOKENS else "content_filter"
            response |= {"incomplete_details": {"reason": reason}}
        return [
            named(self._event("response.output_text.done", text=said, logprobs=[], **self.place)),
            named(self._event("response.content_part.done", part=self._part(said), **self.place)),
            named(self._event("response.output_item.done", output_index=0, item=item)),
            named(self._event(f"response.{status}", response=response)),
        ]

    def error(self, kind: FailureKind) -> bytes:
        _, code, message = self.refusals[kind]
        return named(self._event("error", code=code, message=message, param=None))

    def refusal(self, kind: FailureKind) -> bytes:
        return ChatSpeech().refusal(kind)

    def _item(self, status: str, *parts: dict[str, Any]) -> dict[str, Any]:
        return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": list(parts)}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _event(self, type_: str, **given: Any) -> dict[str, Any]:
        return {"type": type_, "sequence_number": 1, **given}

    def _response(self, status: str, **given: Any) -> dict[str, Any]:
        known: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None, "model": "m"}
        known |= {"incomplete_details": None, "instructions": None, "metadata": {}, "output": [], "parallel_tool_calls": True}
        return known | {"temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "usage": None, "store": False} | given


class MessagesSpeech(Speech):
    """Anthropic's messages: the input is counted in the first event, the output in the last but one."""

    path = "/v1/messages"
    reasons: ClassVar = {StopReason.END_TURN: "end_turn", StopReason.MAX_TOKENS: "max_tokens", StopReason.CONTENT_POLICY: "refusal"}
    refusals: ClassVar = {
        FailureKind.RATE_LIMIT: (429, "rate_limit_error", "Number of requests has exceeded your rate limit"),
        FailureKind.TIMEOUT: (504, "timeout_error", "Request timed out"),
        FailureKind.SERVER_ERROR: (529, "overloaded_error", "Overloaded"),
        FailureKind.CONTEXT_WINDOW: (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        FailureKind.CONTENT_POLICY: (400, "invalid_request_error", "Output blocked by content filtering policy"),
        FailureKind.AUTH: (401, "authentication_error", "invalid x-api-key"),
        FailureKind.BUDGET: (400, "invalid_request_error", "Your credit balance is too low to access the API"),
    }

    def opening(self, used: Usage) -> list[bytes]:
        usage = self._usage(used) | {"output_tokens": 1, "service_tier": "standard"}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
        return [
            named({"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None}}),
            named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": None}}),
            named({"type": "ping"}),
        ]

    def thought(self, text: str) -> bytes:
        return named({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": text}})

    def word(self, text: str) -> bytes:
        return named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})

    def ending(self, stop: StopReason, used: Usage, said: str) -> list[bytes]:
        usage = self._usage(used) | {"output_tokens": used.output_tokens + used.reasoning_tokens}
        usage |= {"output_tokens_details": {"thinking_tokens": used.reasoning_tokens}}
        return [
            named({"type": "content_block_stop", "index": 0}),
            named({"type": "message_delta", "delta": {"stop_reason": self.reasons[stop], "stop_sequence": None}, "usage": usage}),
            named({"type": "message_stop"}),
        ]

    def error(self, kind: FailureKind) -> bytes:
        return b"event: error\n" + plain(self._error(kind))

    def refusal(self, kind: FailureKind) -> bytes:
        return json.dumps(self._error(kind) | {"request_id": "req_1"}).encode()

    def _usage(self, used: Usage) -> dict[str, Any]:
        kept = {"cache_creation_input_tokens": used.cache_write_tokens, "cache_read_input_tokens": used.cache_read_tokens}
        return {"input_tokens": used.input_tokens, **kept}

    def _error(self, kind: FailureKind) -> dict[str, Any]:
        _, code, message = self.refusals[kind]
        return {"type": "error", "error": {"type": code, "message": message}}


SPEECHES: dict[str, Speech] = {"openai": ChatSpeech(), "responses": ResponsesSpeech(), "anthropic": MessagesSpeech()}
