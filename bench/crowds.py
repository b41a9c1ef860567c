"""A crowd of sockets that follow one run and count what they hear together."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.sockets import Socket
from bench.targets import Running
from bench.worlds import Person

Write = Callable[[], Awaitable[None]]
PATIENCE = 20.0
SETTLING = 20  # times that a crowd is given to come to rest
AT_ONCE = 50


class TokenIsLate(Exception):
    """A token did not reach every socket."""


@dataclass(frozen=True)
class Pace:
    """How often there and back again, and how long each crowd hears tokens, after as long to get warm: so many, or so many seconds."""

    rounds: int
    tokens: int
    seconds: float


class Crowd:
    """Sockets that count what they hear together."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.last = b""
        self._heard = 0
        self._expected = 0
        self._all_heard = asyncio.Event()

    async def join(self, server: Running, count: int, person: Person, run_id: str, write: Write) -> None:
        """Open sockets and subscribe, a few at a time: what is measured is not how many may come in at once."""
        # PENNY tells who comes late what was said before; a peer's subscription shows with the next token only.
        replays = not server.tokens
        loop = asyncio.get_running_loop()
        while len(self.sockets) < count:
            more = range(min(AT_ONCE, count - len(self.sockets)))
            some = [(await loop.create_connection(lambda: Socket(server.port, self._hear), "127.0.0.1", server.port))[1] for _ in more]
            self.sockets += some
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(socket.ready for socket in some))
                for socket in some:
                    socket.subscribe(person, run_id)
                while not all(socket.follows for socket in some):
                    await asyncio.sleep(0.02)
                    if not replays:
                        await write()

    def leave(self) -> None:
        for socket in self.sockets:
            socket.close()

    def _hear(self, payload: bytes) -> None:
        self._heard += 1
        if self._heard == self._expected:
            self.last = payload
            self._all_heard.set()

    async def hear_for(self, pace: Pace, write: Write) -> list[float]:
        """Have tokens written one after the other; returns the seconds of each."""
        waits: list[float] = []
        until = time.perf_counter() + pace.seconds
        while len(waits) < pace.tokens and time.perf_counter() < until:
            waits.append(await self._hear_one(write))
        return waits

    async def _hear_one(self, write: Write) -> float:
        """Have one token written and wait until every socket has it; returns the seconds."""
        self._heard, self._expected = 0, len(self.sockets)
        self._all_heard.clear()
        began = time.perf_counter()
        await write()
        try:
            await asyncio.wait_for(self._all_heard.wait(), PATIENCE)
        except TimeoutError:
            raise TokenIsLate(f"{self._heard} of {self._expected} sockets had the token after {PATIENCE:.0f} s.") from None
        return time.perf_counter() - began

    async def _quiet(self) -> None:
        """Wait until nobody hears anything any more."""
        before = -1
        while before != self._heard:
            before = self._heard
            await asyncio.sleep(0.3)

    async def settle(self, write: Write) -> None:
        """Wait until nothing of before is under way: until a token comes to every socket once."""
        for _ in range(SETTLING):
            await self._quiet()
            self._heard = 0
            await write()
            await self._quiet()
            if self._heard == len(self.sockets):
                return
        raise TokenIsLate(f"{self._heard} of {len(self.sockets)} sockets heard a token.")
