"""The OpenAI-compatible wire: what is sent, what is understood, and each way in which it breaks."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from inference import streaming
from inference.models import (
    FailureKind,
    Finished,
    ModelEvent,
    ModelRequest,
    ProviderFailed,
    ReasoningDelta,
    StopReason,
    TextDelta,
    Usage,
    estimated_usage,
)
from inference.openai_wire import OpenAIProvider, length_field
from inference.platform import deployment_of_settings
from inference.providers import Provider, Providers
from settings import Settings
from tests.inference.conftest import KEY, asking, until_failure
from tests.inference.model_server import Answer, ModelServer, answer_of, chunk, event

WORDS = ["Grüße ", "aus ", "東京 ", "🙂"]
GOODBYE = [Usage(input_tokens=70, output_tokens=15, cache_read_tokens=30, reasoning_tokens=5), Finished(StopReason.END_TURN)]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Provider]:
    """The provider that settings name, on sessions of its own."""
    providers = Providers(settings)
    yield providers.of(deployment_of_settings(settings))
    await providers.close()


@pytest.fixture
async def provider(make_settings: Callable[..., Settings]) -> AsyncIterator[Provider]:
    async with opened(make_settings(model_silence_seconds=0.3)) as provider:
        yield provider


async def whole(provider: Provider, request: ModelRequest | None = None) -> list[ModelEvent]:
    return [one async for one in provider.stream(request or asking("hello"))]


async def failure(provider: Provider) -> ProviderFailed:
    return (await until_failure(provider.stream(asking("hello"))))[1]


def texts(events: list[ModelEvent]) -> list[str]:
    return [one.text for one in events if isinstance(one, TextDelta)]


async def test_the_request_is_what_compatible_servers_expect(provider: Provider, model_server: ModelServer) -> None:
    await whole(provider, asking("hello", max_output_tokens=7))
    assert model_server.requests == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
            "max_tokens": 7,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    headers = model_server.headers[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (headers["Content-Type"], headers["Accept"]) == ("application/json", "text/event-stream")


async def test_a_temperature_is_sent_only_when_one_is_given(provider: Provider, model_server: ModelServer) -> None:
    await whole(provider, ModelRequest(messages=asking("x").messages, max_output_tokens=1, temperature=0.0))
    assert model_server.requests[0]["temperature"] == 0.0


async def test_no_key_sends_no_authorization(make_settings: Callable[..., Settings], model_server: ModelServer) -> None:
    async with opened(make_settings(model_api_key="")) as provider:
        await whole(provider)
    assert "Authorization" not in model_server.headers[0]


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("http://127.0.0.1:8080/v1", "max_tokens"),
        ("https://notapi.openai.com.example/v1", "max_tokens"),
        ("https://myapi.openai.com/v1", "max_tokens"),
    ],
)
def test_only_openai_itself_is_asked_for_completion_tokens(base_url: str, field: str) -> None:
    assert length_field(base_url) == field


RAW = b"".join(answer_of(WORDS))


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([RAW], id="all at once"),
        pytest.param([RAW[at : at + 1] for at in range(len(RAW))], id="byte by byte, characters split too"),
        pytest.param([RAW.replace(b"\n", b"\r\n")], id="CRLF"),
        pytest.param([RAW.replace(b"\n", b"\r\n")[at : at + 7] for at in range(0, 2 * len(RAW), 7)], id="CRLF split"),
        pytest.param([RAW.replace(b"data: ", b": keep-alive\n\nevent: message\nid: 1\nretry: 5\ndata: ")], id="comments and other fields"),
        pytest.param([RAW.replace(b"data: ", b"data:")], id="no space"),
        pytest.param([RAW.replace(b"data: [DONE]\n\n", b"")], id="no DONE"),
        pytest.param([RAW.rstrip(b"\n")], id="no last line end"),
        pytest.param([RAW.replace(b"data: [DONE]\n\n", b"").rstrip(b"\n")], id="no DONE and no last line end"),
        pytest.param([RAW, RAW], id="DONE is the end"),
        pytest.param(
            [event({"choices": [], "prompt_filter_results": [{}]}), event({"choices": [{"index": 0}]}), RAW], id="Azure's empty chunks"
        ),
    ],
)
async def test_an_answer_is_read_however_it_is_cut_and_framed(provider: Provider, model_server: ModelServer, pieces: list[bytes]) -> None:
    model_server.answer = Answer(pieces)
    events = await whole(provider)
    assert texts(events) == WORDS
    assert events[-2:] == GOODBYE
    assert len(events) == len(WORDS) + 2


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_told_apart_from_text(provider: Provider, model_server: ModelServer, field: str) -> None:
    model_server.answer = Answer([chunk(**{field: "hmm "}), chunk(**{field: "aha"}), *answer_of(["yes"])])
    assert await whole(provider) == [ReasoningDelta("hmm "), ReasoningDelta("aha"), TextDelta("yes"), *GOODBYE]


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4}, Usage(input_tokens=9, output_tokens=4)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            Usage(input_tokens=4, output_tokens=0, cache_read_tokens=2, cache_write_tokens=3, reasoning_tokens=4),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(input_tokens=9, output_tokens=4),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 16, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(input_tokens=9, output_tokens=4, reasoning_tokens=3),
        ),
    ],
    ids=["plain", "all classes", "nulls", "reasoning beside the completion"],
)
async def test_the_classes_of_tokens_are_disjoint(
    provider: Provider, model_server: ModelServer, reported: dict[str, object], usage: Usage
) -> None:
    model_server.answer = Answer(answer_of(["x"], usage=reported))
    assert (await whole(provider))[-2] == usage


async def test_usage_that_nobody_counted_is_estimated_and_says_so(provider: Provider, model_server: ModelServer) -> None:
    model_server.answer = Answer([chunk(reasoning="12345678"), *answer_of(["1234", "5678", "9"], usage=None)])
    usage = (await whole(provider, asking("12345678")))[-2]
    assert usage == estimated_usage(asking("12345678"), output_bytes=9, reasoning_bytes=8)
    assert usage == Usage(input_tokens=5 + 8, output_tokens=3, reasoning_tokens=2, estimated=True)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"message": "boom", "type": "server_error", "code": None}, FailureKind.SERVER_ERROR, None),
        ({"message": "busy", "code": 429}, FailureKind.RATE_LIMIT, 429),
        ({"message": "busy", "type": "rate_limit_exceeded"}, FailureKind.RATE_LIMIT, None),
        ({"message": "slow", "code": "504"}, FailureKind.TIMEOUT, 504),
        ({"message": "no", "code": "content_filter"}, FailureKind.CONTENT_POLICY, None),
        ({"message": "long", "code": 400, "type": "exceed_context_size_error"}, FailureKind.CONTEXT_WINDOW, 400),
        ("upstream is gone", FailureKind.SERVER_ERROR, None),
    ],
)
async def test_an_error_in_mid_answer_is_typed(
    provider: Provider, model_server: ModelServer, error: object, kind: FailureKind, status: int | None
) -> None:
    model_server.answer = Answer([chunk("word0 "), event({"error": error}), *answer_of(["never"])])
    stream = provider.stream(asking("x"))
    assert await anext(stream) == TextDelta("word0 ")
    with pytest.raises(ProviderFailed) as caught:
        await anext(stream)
    assert (caught.value.kind, caught.value.status) == (kind, status)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":{"message":"bad"}}', FailureKind.SERVER_ERROR),
        (400, b"This model's maximum context length is 4096 tokens", FailureKind.CONTEXT_WINDOW),
        (400, b'{"error":{"code":400,"type":"exceed_context_size_error"}}', FailureKind.CONTEXT_WINDOW),
        (400, b'{"error":{"code":"content_filter"}}', FailureKind.CONTENT_POLICY),
        (401, b"", FailureKind.AUTH),
        (402, b"", FailureKind.BUDGET),
        (403, b"<html>", FailureKind.AUTH),
        (404, b'{"error":{"code":"model_not_found"}}', FailureKind.AUTH),
        (408, b"", FailureKind.TIMEOUT),
        (413, b"", FailureKind.CONTEXT_WINDOW),
        (422, b'{"detail":[]}', FailureKind.SERVER_ERROR),
        (429, b"not json", FailureKind.RATE_LIMIT),
        (429, b'{"error":{"code":"insufficient_quota"}}', FailureKind.BUDGET),
        (500, b"context_length_exceeded", FailureKind.SERVER_ERROR),
        (500, b"x" * 200_000, FailureKind.SERVER_ERROR),
        (502, b"", FailureKind.SERVER_ERROR),
        (503, b"", FailureKind.SERVER_ERROR),
        (504, b"", FailureKind.TIMEOUT),
        (529, b"", FailureKind.SERVER_ERROR),
    ],
)
async def test_a_refusal_is_typed_and_asked_for_once(
    provider: Provider, model_server: ModelServer, status: int, body: bytes, kind: FailureKind
) -> None:
    model_server.answer = Answer(status=status, body=body)
    failed = await failure(provider)
    assert (failed.kind, failed.status, failed.retry_after_ms) == (kind, status, None)
    assert len(model_server.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "milliseconds"),
    [
        ({"Retry-After": "7"}, 7000),
        ({"Retry-After": "0.5"}, 500),
        ({"Retry-After": "60", "retry-after-ms": "1500"}, 1500),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e12"}, None),
    ],
)
async def test_the_wait_that_a_provider_asks_for_is_passed_on(
    provider: Provider, model_server: ModelServer, status: int, headers: dict[str, str], milliseconds: int | None
) -> None:
    model_server.answer = Answer(status=status, headers=headers)
    assert (await failure(provider)).retry_after_ms == milliseconds


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"x"}}', FailureKind.SERVER_ERROR),
        (b'{"error":{"message":"x","code":429}}', FailureKind.RATE_LIMIT),
        (b'{"choices":[{"message":{"content":"x"}}]}', FailureKind.SERVER_ERROR),
    ],
)
async def test_plain_json_in_place_of_a_stream_is_a_failure(
    provider: Provider, model_server: ModelServer, body: bytes, kind: FailureKind
) -> None:
    model_server.answer = Answer(body=body, content_type="application/json")
    assert (await failure(provider)).kind is kind


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"data: {nonsense\n\n"], id="not JSON"),
        pytest.param([b"data: [1]\n\n"], id="not an object"),
        pytest.param([b'data: {"choices": "x"}\n\n'], id="another shape"),
        pytest.param([b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n'], id="not UTF-8"),
        pytest.param([], id="nothing"),
        pytest.param([b"<html>hello</html>\n"], id="a web page"),
        pytest.param([chunk("word0 ")], id="an end without a goodbye"),
        pytest.param([chunk("word0 ")[:-20]], id="half a chunk"),
    ],
)
async def test_bytes_that_are_no_whole_answer_are_a_server_error(
    provider: Provider, model_server: ModelServer, pieces: list[bytes]
) -> None:
    model_server.answer = Answer(pieces)
    assert (await failure(provider)).kind is FailureKind.SERVER_ERROR


async def test_a_line_without_an_end_is_not_waited_for(provider: Provider, model_server: ModelServer) -> None:
    model_server.answer = Answer([b"data: " + b"x" * 1_100_000], hang_after=1)
    assert (await failure(provider)).kind is FailureKind.SERVER_ERROR  # waiting would be a TIMEOUT


async def test_a_connection_cut_in_mid_answer_is_a_server_error_after_what_was_said(provider: Provider, model_server: ModelServer) -> None:
    model_server.answer = Answer(answer_of(WORDS), cut_after=3)
    stream = provider.stream(asking("x"))
    assert [await anext(stream), await anext(stream)] == [TextDelta(WORDS[0]), TextDelta(WORDS[1])]
    model_server.answer.cut.set()
    with pytest.raises(ProviderFailed) as caught:
        await anext(stream)
    assert caught.value.kind is FailureKind.SERVER_ERROR


async def test_an_answer_cut_after_its_finish_is_whole(provider: Provider, model_server: ModelServer) -> None:
    model_server.answer = Answer(answer_of(["yes"]), cut_after=3)
    model_server.answer.cut.set()
    events = await whole(provider)
    assert (events[0], events[-1]) == (TextDelta("yes"), Finished(StopReason.END_TURN))
    assert isinstance(events[1], Usage)
    assert events[1].estimated


async def test_an_answer_that_hangs_after_its_finish_is_whole(
    provider: Provider, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_USAGE_SECONDS", 0.05)
    model_server.answer = Answer(answer_of(["yes"]), hang_after=3)
    events = await whole(provider)
    assert (events[0], events[-1]) == (TextDelta("yes"), Finished(StopReason.END_TURN))


async def test_silence_before_the_first_byte_is_a_timeout(provider: Provider, model_server: ModelServer) -> None:
    model_server.answer = Answer(hang_before_headers=True)
    assert (await failure(provider)).kind is FailureKind.TIMEOUT


async def test_keep_alives_are_a_sign_of_life(provider: Provider, model_server: ModelServer) -> None:
    # Six pauses of 0.1 s are twice the silence that is allowed.
    model_server.answer = Answer([*[b": working\n\n"] * 6, *answer_of(WORDS)], pause_seconds=0.1)
    assert texts(await whole(provider)) == WORDS


async def test_a_whole_answer_leaves_its_connection_to_the_next_where_connections_are_kept(
    provider: Provider, model_server: ModelServer
) -> None:
    assert isinstance(provider, OpenAIProvider)
    del provider._endpoint.headers["Connection"]  # as with TLS
    model_server.answer = Answer(pause_seconds=0.01)  # so that the end of the body comes later than the end of the answer
    for _ in range(3):
        await whole(provider)
    assert len(model_server.connections) == 1
    stream = provider.stream(asking("x"))
    await anext(stream)
    await stream.aclose()
    await whole(provider)
    assert len(model_server.connections) == 2


async def test_without_tls_each_question_has_a_connection_of_its_own(provider: Provider, model_server: ModelServer) -> None:
    for _ in range(3):
        await whole(provider)
    assert len(model_server.connections) == 3
    assert {headers["Connection"] for headers in model_server.headers} == {"close"}


async def test_leaving_tells_the_server_at_once(provider: Provider, model_server: ModelServer) -> None:
    model_server.answer = Answer(answer_of(WORDS), hang_after=2)
    stream = provider.stream(asking("x"))
    await anext(stream)
    assert not model_server.hung_up.is_set()
    await stream.aclose()
    async with asyncio.timeout(10):
        await model_server.hung_up.wait()


async def test_nobody_is_asked_before_the_first_event_is(provider: Provider, model_server: ModelServer) -> None:
    stream = provider.stream(asking("x"))
    await asyncio.sleep(0)
    assert not model_server.asked.is_set()
    await anext(stream)
    assert model_server.asked.is_set()
    await stream.aclose()


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port of loopback where a connection is neither made nor refused: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


async def test_a_connection_that_is_not_made_is_a_timeout(make_settings: Callable[..., Settings]) -> None:
    with deaf_port() as port:
        async with opened(make_settings(model_base_url=f"http://127.0.0.1:{port}/v1", model_connect_seconds=0.2)) as provider:
            assert (await failure(provider)).kind is FailureKind.TIMEOUT
            with pytest.raises(ProviderFailed) as caught:
                await provider.check()
    assert caught.value.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1/v1", "http://a name/v1", "nonsense", "http://127.0.0.1:99999999/v1"])
async def test_an_address_that_cannot_be_dialled_is_a_server_error(make_settings: Callable[..., Settings], base_url: str) -> None:
    async with opened(make_settings(model_base_url=base_url)) as provider:
        failed = await failure(provider)
    assert failed.kind is FailureKind.SERVER_ERROR
    assert base_url not in str(failed)


async def test_a_redirect_is_not_followed(provider: Provider, model_server: ModelServer) -> None:
    model_server.answer = Answer(status=307, headers={"Location": f"{model_server.base_url}/chat/completions"})
    assert (await failure(provider)).kind is FailureKind.SERVER_ERROR
    assert len(model_server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, FailureKind.AUTH), (429, FailureKind.RATE_LIMIT), (503, FailureKind.SERVER_ERROR)],
)
async def test_a_check_tells_what_is_wrong(provider: Provider, model_server: ModelServer, status: int, kind: FailureKind) -> None:
    model_server.answer = Answer(status=status, body=json.dumps({"error": {}}).encode())
    with pytest.raises(ProviderFailed) as caught:
        await provider.check()
    assert caught.value.kind is kind


@pytest.mark.parametrize("status", [404, 405])
async def test_an_endpoint_without_a_list_of_models_passes_the_check(provider: Provider, model_server: ModelServer, status: int) -> None:
    model_server.answer = Answer(status=status)
    await provider.check()
    assert model_server.asked.is_set()


@pytest.mark.parametrize(("base_url", "kept"), [("https://api.openai.com/v1", True), ("http://127.0.0.1:8080/v1", False)])
async def test_connections_are_kept_only_with_tls(make_settings: Callable[..., Settings], base_url: str, *, kept: bool) -> None:
    async with opened(make_settings(model_base_url=base_url)) as provider:
        assert isinstance(provider, OpenAIProvider)
        assert ("Connection" not in provider._endpoint.headers) is kept
