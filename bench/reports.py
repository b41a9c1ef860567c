"""All that one run measured, and what was wanted: the goals of compiled operations, each hit or missed."""

import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench import targets
from bench.answers import FirstWords
from bench.comparisons import Cell
from bench.fanout import Delivery
from bench.gateway import Spent
from bench.operations import HUNDRED, ONE, TWENTY, Operation
from bench.processes import Memory
from bench.profiling import Profile
from bench.repeats import Repeated
from bench.talks import Talks
from bench.targets import Target
from bench.wires import Wire
from bench.worlds import Size

CLIENTS = 16
STARTED_WEB = "web, just started"
# The parts of a run. What is compared with each other is measured in one, by turns.
MANY, SINGLE, SIZES, CROWDS, SPREAD = "many at once", "one at a time", "by size", "by clients", "by processes"
PEERS = (targets.MERCURIUS, targets.POSTGRAPHILE, targets.FASTAPI)
STREAMING_PEERS = (targets.MERCURIUS, targets.GRAPHQL_WS)
# How much less CPU time an operation is to cost than at the best peer, and than at FastAPI with Strawberry; the same for a delivery.
BEST_PEER = {TWENTY: 2.0, HUNDRED: 1.2, ONE: 1.0}
STRAWBERRY = {TWENTY: 10.0, HUNDRED: 5.0, ONE: 3.0}
FANOUT = {100: 4.0, 1000: 4.0}


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


@dataclass(frozen=True)
class Goal:
    """PENNY against somebody: how many times less CPU time was wanted, and how many it was."""

    what: str
    against: str
    wanted: float
    was: float

    @property
    def hit(self) -> bool:
        return self.was >= self.wanted

    @property
    def verdict(self) -> str:
        return "hit" if self.hit else f"missed by {1 - self.was / self.wanted:.0%}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Times are in milliseconds, memory is in MB."""

    size: Size
    cells: list[Cell]
    deliveries: list[Delivery]
    first_words: list[FirstWords]
    memory: dict[str, Memory]
    web_start: float
    profiles: list[Profile]
    talks: Talks
    wires: list[Wire]
    gateway: list[Spent]
    repeats: list[Repeated]
    loads: list[float]
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    machine: str = field(default_factory=_machine)

    @property
    def heading(self) -> str:
        size, chats = self.size, self.size.tenants * self.size.chats
        load = f"load average {min(self.loads):.1f} to {max(self.loads):.1f}"
        return f"{self.date}; {self.machine}; {size.tenants} tenants, {chats:,} chats, {chats * size.messages:,} messages; {load}."

    def cell(self, target: Target, operation: Operation, part: str = MANY, clients: int = CLIENTS) -> Cell:
        """Find what was measured of a target in a part of the run; raises `LookupError`."""
        asked = (part, target.name, operation.name, clients, target.processes)
        for cell in self.cells:
            if (cell.part, cell.target, cell.operation, cell.clients, cell.processes) == asked:
                return cell
        raise LookupError(f"{target.title} was not asked for {operation.title} by {clients} ({part}).")

    def delivery(self, target: Target, sockets: int) -> Delivery | None:
        return next((one for one in self.deliveries if (one.target, one.sockets) == (target.name, sockets)), None)

    def goals(self) -> list[Goal]:
        return [*self._reads(), *self._tokens()]

    def _reads(self) -> list[Goal]:
        found = []
        for operation, wanted in BEST_PEER.items():
            ours = self.cell(targets.COMPILED, operation).cpu
            best = min(PEERS, key=lambda peer: self.cell(peer, operation).cpu)
            found.append(Goal(operation.title, f"the best peer: {best.title}", wanted, self.cell(best, operation).cpu / ours))
            strawberry = self.cell(targets.FASTAPI, operation).cpu
            found.append(Goal(operation.title, targets.FASTAPI.title, STRAWBERRY[operation], strawberry / ours))
        return found

    def _tokens(self) -> list[Goal]:
        found = []
        for sockets, wanted in FANOUT.items():
            for peer in STREAMING_PEERS:
                ours, theirs = self.delivery(targets.COMPILED, sockets), self.delivery(peer, sockets)
                if ours and theirs:
                    found.append(Goal(f"a token to {sockets:,} sockets", peer.title, wanted, theirs.cpu_us / ours.cpu_us))
        return found

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"goals": [asdict(goal) for goal in self.goals()]}
