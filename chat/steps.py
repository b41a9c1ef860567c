"""The steps of a run: each worker's turn at it, what it said and what it used, so that every token counts once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from db.scopes import Row
from db.statements import steps
from inference.models import NO_USAGE, ModelRequest, Usage, estimated_usage

Said = Mapping[str, int]
"""Bytes of text and of reasoning."""


@dataclass
class Step:
    """One worker's turn. Its calls of a model add up in `counted`; where none was counted to its end, it is estimated by what was said.

    `before` is what was told when it began, and `asks` whether it has asked a model.
    """

    number: int
    before: Said = field(default_factory=lambda: {"text": 0, "reasoning": 0})
    asks: bool = False
    counted: Usage | None = None

    def count(self, usage: Usage) -> None:
        """Add what a call of a model used."""
        self.counted = usage if self.counted is None else self.counted + usage

    def said(self, told: Said) -> dict[str, int]:
        """Return how much of what was told is this step's."""
        return {kind: told[kind] - before for kind, before in self.before.items()}

    def usage(self, request: ModelRequest, told: Said) -> Usage:
        """Return what it used."""
        if not self.asks:
            return NO_USAGE
        return self.counted or estimate(request, self.said(told))


@dataclass(frozen=True)
class LostStep:
    """What a step whose worker was lost comes to."""

    number: int
    said: Said
    usage: Usage


def estimate(request: ModelRequest, said: Said) -> Usage:
    """Say what a call used that nobody counted."""
    return estimated_usage(request, output_bytes=said["text"], reasoning_bytes=said["reasoning"])


def lost_steps(rows: Sequence[Row], told: Said, request: ModelRequest, *, asked: Collection[int]) -> list[LostStep]:
    """Close the steps that are open, before one's own begins: what the answer has beyond all that was saved is the last one's.

    `asked` are the steps whose worker said in the log that it asks a model; one that neither did nor said anything used nothing.
    """
    said = {row["step"]: {"text": row["text_bytes"], "reasoning": row["reasoning_bytes"]} for row in rows}
    lost = [row["step"] for row in rows if row["outcome"] == "OPEN"]
    talked = [step for step in lost if step in asked or any(said[step].values())]
    if talked:
        for kind, size in said[talked[-1]].items():
            said[talked[-1]][kind] = max(size, told[kind] - sum(one[kind] for step, one in said.items() if step != talked[-1]))
    return [LostStep(step, said[step], estimate(request, said[step]) if step in talked else NO_USAGE) for step in lost]


def usage_of(row: Row) -> Usage:
    """Read what a closed step used."""
    return Usage(**{name: row[name] for name in steps.TOKENS}, estimated=row["usage_estimated"])


def total(usages: Sequence[Usage]) -> Usage:
    """Add up."""
    return sum(usages, NO_USAGE)


def columns_of(usage: Usage) -> dict[str, int | bool]:
    """Spell usage as rows hold it."""
    return msgspec.structs.asdict(usage)
