"""Reads that are warm: one after the other on a connection that stays open, by people of all tenants in turn."""

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median, quantiles
from urllib.parse import urlsplit

from bench.processes import cpu_ms, with_children
from bench.seeds import Person

WARMING = 40
PATIENCE = 25.0  # seconds after which no further round begins


@dataclass(frozen=True)
class Case:
    """One kind of read, and how often it is done in a round."""

    name: str
    query: str
    times: int


CASES = (
    Case("the viewer", "{ viewer { user { id name email } } }", 400),
    Case("one chat by id", "query ($id: ID!) { node(id: $id) { ... on Chat { id title visibility createdAt } } }", 400),
    Case(
        "20 chats with 10 messages each",
        "{ chats(first: 20) { nodes { id title messages(last: 10) { nodes { id role parts { ... on TextPart { text } } } } } } }",
        30,
    ),
)


@dataclass(frozen=True)
class Read:
    """Milliseconds of one kind of read: what the client waited, and the CPU time of each side."""

    name: str
    p50: float
    p99: float
    web_cpu: float
    postgres_cpu: float
    samples: int


@dataclass(frozen=True)
class _Round:
    waits: list[float]
    web_cpu: float
    postgres_cpu: float


class Reads:
    """Reads of these people from this web process, whose CPU time is taken together with PostgreSQL's."""

    def __init__(self, url: str, people: Sequence[Person], *, web: int, postmaster: int) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc)
        self._people = people
        self._web = web
        self._postmaster = postmaster

    def measure(self, rounds: int, share: float, progress: Callable[[str], None]) -> list[Read]:
        """Do `rounds` times A B C C B A, so that what drifts meanwhile touches all kinds alike; `share` shortens each."""
        found: dict[str, list[_Round]] = {case.name: [] for case in CASES}
        for case in CASES:
            self._round(case, WARMING)
        deadline = time.monotonic() + PATIENCE
        for number in range(rounds):
            if number and time.monotonic() > deadline:
                break
            progress(f"round {number + 1} of {rounds}")
            for case in (*CASES, *reversed(CASES)):
                found[case.name].append(self._round(case, int(case.times * share)))
        self._connection.close()
        return [_read(name, done) for name, done in found.items()]

    def _round(self, case: Case, times: int) -> _Round:
        everybody = itertools.islice(itertools.cycle(self._people), times)
        requests = [(_body(case, person, number), str(person.api.token)) for number, person in enumerate(everybody)]
        postgres = with_children(self._postmaster)
        web_before, postgres_before = cpu_ms(self._web), cpu_ms(*postgres)
        waits = [_wait(self._connection, body, token) for body, token in requests]
        return _Round(waits, (cpu_ms(self._web) - web_before) / times, (cpu_ms(*postgres) - postgres_before) / times)


def _body(case: Case, person: Person, number: int) -> bytes:
    variables = {"id": person.chat_ids[number % len(person.chat_ids)]} if "$id" in case.query else {}
    return json.dumps({"query": case.query, "variables": variables}).encode()


def _wait(connection: HTTPConnection, body: bytes, token: str) -> float:
    """Ask, and return how many milliseconds the whole answer took."""
    began = time.perf_counter()
    connection.request("POST", "/graphql", body, {"content-type": "application/json", "authorization": f"Bearer {token}"})
    answer = connection.getresponse().read()
    waited = (time.perf_counter() - began) * 1000
    if not answer.startswith(b'{"data":') or b'"errors":' in answer:
        raise RuntimeError(f"A measured read failed: {answer[:300]!r}")
    return waited


def _read(name: str, rounds: Sequence[_Round]) -> Read:
    """The median round tells the usual; the slowest reads are looked for in all rounds."""
    waits = [wait for one in rounds for wait in one.waits]
    return Read(
        name=name,
        p50=median(median(one.waits) for one in rounds),
        p99=quantiles(waits, n=100)[98],
        web_cpu=median(one.web_cpu for one in rounds),
        postgres_cpu=median(one.postgres_cpu for one in rounds),
        samples=len(waits),
    )
