"""The steps of a run: each worker's turn at it, what it said and what it used, so that every token counts once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from db.scopes import Row
from db.statements import steps
from inference.models import NO_USAGE, ModelRequest, Usage, estimated_usage

Said = Mapping[str, int]
"""Bytes of text and of reasoning."""


_UNREAD: Final = ModelRequest(messages=(), max_output_tokens=0)


@dataclass
class Step:
    """One worker's turn. `before` is what was told when it began."""

    number: int
    before: Said = field(default_factory=lambda: {"text": 0, "reasoning": 0})

    def said(self, told: Said) -> dict[str, int]:
        """Return how much of what was told is this step's."""
        return {kind: told[kind] - before for kind, before in self.before.items()}


@dataclass(frozen=True)
class LostStep:
    """What a step whose worker was lost comes to."""

    number: int
    said: Said
    usage: Usage
    open_usage: Usage


def words(said: Said) -> Usage:
    """Say what a call used for its words, where nobody counted, beside the question."""
    return estimated_usage(_UNREAD, output_bytes=said["text"], reasoning_bytes=said["reasoning"])


def lost_steps(rows: Sequence[Row], *, asked: Mapping[int, Usage], closed: Mapping[int, Usage], told: Said | None = None) -> list[LostStep]:
    """Close the steps that are open, before one's own begins.

    `asked` are the steps of which is known that a model was asked and not how that ended, by an open attempt or by the log, each with
    what its question alone comes to. `closed` is what the attempts of a step used that had ended; the rest of what it said is the
    open one's. `told` is all that the answer says, where it can be read: what it has beyond all that was saved is the last one's.
    """
    said = {row["step"]: {"text": row["text_bytes"], "reasoning": row["reasoning_bytes"]} for row in rows}
    lost = [row["step"] for row in rows if row["outcome"] == "OPEN"]
    talked = [step for step in lost if step in asked or step in closed or any(said[step].values())]
    if talked and told is not None:
        for kind, size in said[talked[-1]].items():
            said[talked[-1]][kind] = max(size, told[kind] - sum(one[kind] for step, one in said.items() if step != talked[-1]))
    made = []
    for step in lost:
        before = closed.get(step, NO_USAGE)
        is_open = step in asked or (step in talked and step not in closed)
        usage = _rest(asked.get(step, NO_USAGE) + words(said[step]), before) if is_open else NO_USAGE
        made.append(LostStep(step, said[step], before + usage, usage))
    return made


def _rest(whole: Usage, before: Usage) -> Usage:
    """Take away what was said by calls that had ended; each call read the question."""
    return msgspec.structs.replace(
        whole,
        output_tokens=max(0, whole.output_tokens - before.output_tokens),
        reasoning_tokens=max(0, whole.reasoning_tokens - before.reasoning_tokens),
    )


def usage_of(row: Row) -> Usage:
    """Read what a closed step used."""
    return Usage(**{name: row[name] for name in steps.TOKENS}, estimated=row["usage_estimated"])


def total(usages: Sequence[Usage]) -> Usage:
    """Add up."""
    return sum(usages, NO_USAGE)


def columns_of(usage: Usage) -> dict[str, int | bool]:
    """Spell usage as rows hold it."""
    return msgspec.structs.asdict(usage)
