"""Fixtures of the models' tests: a model server, and settings that point to it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest

from inference.models import ModelEvent, ModelMessage, ModelRequest, ProviderFailed
from settings import Secret, Settings
from tests.inference.model_server import ModelServer

KEY = "sk-never-shown-0123456789"


@pytest.fixture
async def model_server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
def make_settings(model_server: ModelServer) -> Callable[..., Settings]:
    def make(**given: Any) -> Settings:
        values: dict[str, Any] = {"database_url": Secret("x"), "database_system_url": Secret("x"), "valkey_url": Secret("x")}
        values |= {"model_base_url": model_server.base_url, "model_api_key": Secret(KEY), "model_name": "m", "model_silence_seconds": 5.0}
        return Settings(**(values | given))

    return make


def asking(text: str, *, max_output_tokens: int = 100) -> ModelRequest:
    return ModelRequest(messages=(ModelMessage("system", "Be brief."), ModelMessage("user", text)), max_output_tokens=max_output_tokens)


async def until_failure(stream: AsyncGenerator[ModelEvent, None]) -> tuple[list[ModelEvent], ProviderFailed]:
    """What was said before the failure, and the failure."""
    said: list[ModelEvent] = []
    try:
        async with asyncio.timeout(5):
            async for event in stream:
                said.append(event)  # noqa: PERF401 - a comprehension would lose what came before the failure
    except ProviderFailed as failed:
        return said, failed
    pytest.fail("The stream ended well.")
