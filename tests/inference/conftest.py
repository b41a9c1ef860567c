"""Fixtures of the models' tests: model servers, and settings and deployments that point to them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest

from inference.deployments import Deployment, Model
from inference.models import ModelEvent, ModelMessage, ModelRequest, ProviderFailed
from settings import Secret, Settings
from tests.inference.fault_server import FaultServer
from tests.inference.model_server import ModelServer

KEY = "sk-never-shown-0123456789"
Make = Callable[..., Settings]


@pytest.fixture
async def model_server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def fault_server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
def make_settings(model_server: ModelServer) -> Make:
    def make(**given: Any) -> Settings:
        values: dict[str, Any] = {"database_url": Secret("x"), "database_system_url": Secret("x"), "valkey_url": Secret("x")}
        values |= {"model_base_url": model_server.base_url, "model_api_key": Secret(KEY), "model_name": "m", "model_silence_seconds": 5.0}
        return Settings(**(values | given))

    return make


def deployment_at(server: FaultServer, wire: str, name: str = "m", **given: Any) -> Deployment:
    """A deployment of the fault server, where it is asked as the model `name`."""
    return deployment_named(name, **({"wire": wire, "base_url": server.base_url, "api_key": Secret(KEY)} | given))


def deployment_named(name: str, **given: Any) -> Deployment:
    """A deployment of a model with its name; what no deployment has is given to the model."""
    of_model = {field: given.pop(field) for field in list(given) if field not in Deployment.__struct_fields__}
    known: dict[str, Any] = {"id": uuid4(), "key": name, "name": name, "context_tokens": 100_000, "max_output_tokens": 1000}
    values: dict[str, Any] = {"id": uuid4(), "wire": "scripted", "base_url": "", "remote_name": name}
    return Deployment(**(values | {"model": Model(**(known | of_model))} | given))


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
