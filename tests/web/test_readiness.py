"""However many ask whether a process is ready, its servers are asked once at a time, and at most once a second."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from web.readiness import BELIEVED_SECONDS, Readiness


class Server:
    """A server that counts how often it is asked, and answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.now = 0.0
        self.begun = asyncio.Event()
        self.answers = asyncio.Event()
        self.well = True

    async def check(self) -> None:
        self.asked += 1
        self.begun.set()
        await self.answers.wait()
        if not self.well:
            raise OSError("/var/run/secret")

    def checks(self) -> Mapping[str, Awaitable[Any]]:
        return {"server": self.check()}


async def test_all_who_ask_at_once_are_told_by_one_check() -> None:
    server = Server()
    readiness = Readiness(server.checks, clock=lambda: server.now)
    asking = [asyncio.create_task(readiness.parts()) for _ in range(50)]
    await asyncio.wait_for(server.begun.wait(), 10)
    asking[0].cancel()
    server.answers.set()
    assert await asyncio.gather(*asking[1:]) == [{"server": "ok"}] * 49
    assert server.asked == 1


async def test_an_answer_is_believed_for_a_moment_and_not_longer() -> None:
    server = Server()
    server.answers.set()
    readiness = Readiness(server.checks, clock=lambda: server.now)
    assert await readiness.parts() == {"server": "ok"}
    server.well = False
    server.now += BELIEVED_SECONDS * 0.9
    assert await readiness.parts() == {"server": "ok"}
    server.now += BELIEVED_SECONDS * 0.2
    assert await readiness.parts() == {"server": "down (OSError)"}
    assert server.asked == 2
