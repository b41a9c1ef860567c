"""A running PENNY for tests: web and worker processes, and a small client of its API."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import aiohttp

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse battery staple"
READY_SECONDS = 30.0


@dataclass
class Server:
    """Addresses and processes of a running PENNY."""

    url: str
    environment: Mapping[str, str]
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def running(environment: Mapping[str, str], *command: str, stderr: int | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `penny <command>` and stop it at the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENNY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", *command, cwd=ROOT, env={**inherited, **environment}, start_new_session=True, stderr=stderr
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


@contextlib.asynccontextmanager
async def running_web(environment: Mapping[str, str]) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Run a web process until it is ready; gives its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with running({**environment, "PENNY_PORT": str(port), "PENNY_PUBLIC_URL": url}, "serve") as process:
        await ready(url)
        yield url, process


@contextlib.asynccontextmanager
async def running_server(environment: Mapping[str, str]) -> AsyncIterator[Server]:
    """Run a web and a worker process."""
    async with running(environment, "worker") as worker, running_web(environment) as (url, web):
        yield Server(url, environment, {"web": web, "worker": worker})


async def ready(url: str) -> None:
    """Wait until `/health/ready` says so."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    last = "no answer"
    async with aiohttp.ClientSession() as session:
        while asyncio.get_running_loop().time() < deadline:
            try:
                async with session.get(f"{url}/health/ready") as answer:
                    last = await answer.text()
                    if answer.status == 200:
                        return
            except aiohttp.ClientError as error:
                last = repr(error)
            await asyncio.sleep(0.05)
    raise TimeoutError(f"{url} is not ready: {last}")


class Api:
    """Posts operations; `token` makes them a viewer's."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.token = token
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def as_(self, token: str | None) -> "Api":
        """The same client for another viewer, on the same connections."""
        other = object.__new__(Api)
        other.url, other.token, other._session = self.url, token, self._session
        return other

    async def post(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the whole response."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        body = {"query": query, "variables": variables}
        async with self._session.post(f"{self.url}/graphql", json=body, headers=headers) as answer:
            return await answer.json()  # type: ignore[no-any-return] # JSON

    async def data(self, query: str, **variables: Any) -> Any:
        """Return the data; errors fail the test."""
        response = await self.post(query, **variables)
        assert "errors" not in response, response["errors"]
        return response["data"]

    async def subscribe(self, query: str, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield the payloads of a subscription until it completes."""
        payload = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._session.ws_connect(f"{self.url}/graphql", protocols=["graphql-transport-ws"]) as socket_:
            await socket_.send_json({"type": "connection_init", "payload": payload})
            assert (await socket_.receive_json())["type"] == "connection_ack"
            await socket_.send_json({"type": "subscribe", "id": "1", "payload": {"query": query, "variables": variables}})
            while True:
                message = await socket_.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise ConnectionError(f"closed with {socket_.close_code}: {message.extra}")
                sent = message.json()
                if sent["type"] == "ping":
                    await socket_.send_json({"type": "pong"})
                elif sent["type"] == "next":
                    yield sent["payload"]
                elif sent["type"] == "error":
                    yield {"errors": sent["payload"]}
                    return
                elif sent["type"] == "complete":
                    return

    async def sign_up(self, *, tenant: str = "Acme", email: str | None = None, invitation: str | None = None) -> "Api":
        """Make an account with a tenant of its own (or join by invitation) and return its client."""
        document = """
            mutation ($input: SignUpInput!) {
              signUp(input: $input) { tokenOnce viewer { user { id email } } errors { message code path } }
            }"""
        given = {"email": email or f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Ada", "transport": "BEARER"}
        given |= {"invitationToken": invitation} if invitation else {"tenantName": tenant}
        payload = (await self.data(document, input=given))["signUp"]
        assert payload["errors"] == [], payload["errors"]
        return self.as_(payload["tokenOnce"])
