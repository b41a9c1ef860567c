"""The comparison: every target asked the same in turn, there and back again, so that what drifts meanwhile touches all alike."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from uuid import UUID

from bench import loads
from bench.loads import AnswerIsWrong
from bench.operations import Asking, Operation, content
from bench.processes import cpu_ms
from bench.servers import Servers
from bench.targets import Running, Target
from bench.worlds import Person

REQUESTS = 500  # each by somebody drawn by lot, for a chat of theirs drawn by lot
SEED = 3


@dataclass(frozen=True)
class Question:
    """Who is asked what, by how many at once."""

    server: Running
    operation: Operation
    clients: int


@dataclass(frozen=True)
class Slot:
    """One short load: CPU time an operation, in milliseconds, of each side; what the clients waited, in milliseconds."""

    server: float
    postgres: float
    valkey: float
    p50: float
    waits: list[float] = field(repr=False)
    per_second: float


@dataclass(frozen=True)
class Cell:
    """All slots of one question in one part of the run: medians, but for p99, which is over all; milliseconds."""

    part: str
    target: str
    operation: str
    clients: int
    processes: int
    server: float
    postgres: float
    valkey: float
    p50: float
    p99: float
    per_second: float
    samples: int

    @property
    def cpu(self) -> float:
        """What is compared: the server's CPU time and PostgreSQL's."""
        return self.server + self.postgres


class Comparison:
    """Asks on behalf of the people of this world: `seconds` for a load, and at most `warming` before a target's first."""

    def __init__(self, servers: Servers, *, seconds: float, warming: float, progress: Callable[[str], None]) -> None:
        self._servers = servers
        self._seconds = seconds
        self._warming = warming
        self._progress = progress
        self._said = ""
        self._asked: Counter[tuple[int, Operation]] = Counter()
        self._prepared: dict[tuple[Asking, Operation], list[bytes]] = {}

    async def check(self, running: Sequence[Running], operations: Sequence[Operation]) -> None:
        """Ask everybody the same and compare what they say; raises `AnswerIsWrong`."""
        for operation in operations:
            for person, chat_id in _drawn(self._servers.people, 5):
                bodies = {one.target.name: await loads.once(one.port, one.target.asking(operation, person, chat_id)) for one in running}
                said = {name: content(body) for name, body in bodies.items()}
                expected = next(iter(said.values()))
                wrong = [name for name, one in said.items() if one != expected]
                if wrong or not expected or expected == [None]:
                    raise AnswerIsWrong(f"{operation.title}: {', '.join(wrong)} say otherwise than {next(iter(said))}.")

    async def measure(self, part: str, questions: Sequence[Question], *, rounds: int) -> list[Cell]:
        """Warm everybody up, then do `rounds` times A B C … C B A."""
        for question in questions:
            self._say(f"{part}: warming up {question.server.target.title}")
            await self._warm(question)
        found: dict[Question, list[Slot]] = {question: [] for question in questions}
        for number in range(rounds):
            for question in (*questions, *reversed(questions)):
                self._say(f"{part}: round {number + 1} of {rounds}, {question.operation.title}, {question.clients} at once")
                found[question].append(await self._slot(question))
        return [_cell(part, question, slots) for question, slots in found.items()]

    def _say(self, step: str) -> None:
        """Tell of a step, and of the same only once."""
        if step != self._said:
            self._said = step
            self._progress(step)

    async def _warm(self, question: Question) -> None:
        """Ask until the target's compiler knows the way, unless it does from an earlier comparison.

        A few come first: a server whose connections to the database are not open yet refuses a crowd.
        """
        server, operation = question.server, question.operation
        if self._asked[server.port, operation] >= server.target.warm_after:
            return
        requests, until = self.requests(server.target, operation), time.monotonic() + self._warming
        for clients in (1, min(4, question.clients), question.clients):
            load = await loads.run(server.port, requests, clients=clients, seconds=self._warming / 20)
            self._asked[server.port, operation] += len(load.waits)
        while self._asked[server.port, operation] < server.target.warm_after and time.monotonic() < until:
            load = await loads.run(server.port, requests, clients=question.clients, seconds=self._warming / 10)
            self._asked[server.port, operation] += len(load.waits)

    async def _slot(self, question: Question) -> Slot:
        requests = self.requests(question.server.target, question.operation)
        before = self._times(question)
        load = await loads.run(question.server.port, requests, clients=question.clients, seconds=self._seconds)
        count = len(load.waits)
        server, postgres, valkey = ((after - first) / count for after, first in zip(self._times(question), before, strict=True))
        waits = [wait * 1000 for wait in load.waits]
        return Slot(server, postgres, valkey, median(waits), waits, count / load.seconds)

    def _times(self, question: Question) -> tuple[float, float, float]:
        return question.server.cpu_ms, cpu_ms(self._servers.postmaster), cpu_ms(self._servers.valkey)

    def requests(self, target: Target, operation: Operation) -> list[bytes]:
        """What this target is asked: ready bytes, so that the clients have little to do."""
        key = target.asking, operation
        if key not in self._prepared:
            drawn = _drawn(self._servers.people, REQUESTS)
            self._prepared[key] = [target.asking(operation, person, chat_id) for person, chat_id in drawn]
        return self._prepared[key]


def _drawn(people: Sequence[Person], count: int) -> Iterator[tuple[Person, UUID]]:
    """The same lots each time, so that everybody is asked the same."""
    dice = random.Random(SEED)
    for _ in range(count):
        person = dice.choice(people)
        yield person, dice.choice(person.chat_ids)


def _cell(part: str, question: Question, slots: Sequence[Slot]) -> Cell:
    waits = [wait for slot in slots for wait in slot.waits]
    return Cell(
        part=part,
        target=question.server.target.name,
        operation=question.operation.name,
        clients=question.clients,
        processes=question.server.target.processes,
        server=median(slot.server for slot in slots),
        postgres=median(slot.postgres for slot in slots),
        valkey=median(slot.valkey for slot in slots),
        p50=median(slot.p50 for slot in slots),
        p99=quantiles(waits, n=100, method="inclusive")[98],
        per_second=median(slot.per_second for slot in slots),
        samples=len(waits),
    )
