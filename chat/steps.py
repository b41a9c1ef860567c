"""The steps of a run: each worker's turn at it, what it said and what it used, so that every token counts once."""

from collections.abc import Collection, Mapping, Sequence
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


def estimate(request: ModelRequest, said: Said) -> Usage:
    """Say what a call used that nobody counted."""
    return estimated_usage(request, output_bytes=said["text"], reasoning_bytes=said["reasoning"])


def lost_steps(
    rows: Sequence[Row], told: Said, request: ModelRequest, *, asked: Collection[int], closed: Mapping[int, Usage]
) -> list[LostStep]:
    """Close the steps that are open, before one's own begins: what the answer has beyond all that was saved is the last one's.

    `asked` are the steps whose worker said in the log that it asks a model; one that neither did nor said anything used nothing.
    `closed` is what the attempts of a step used that had ended; the rest of what it said is the last one's.
    """
    said = {row["step"]: {"text": row["text_bytes"], "reasoning": row["reasoning_bytes"]} for row in rows}
    lost = [row["step"] for row in rows if row["outcome"] == "OPEN"]
    talked = [step for step in lost if step in asked or any(said[step].values())]
    if talked:
        for kind, size in said[talked[-1]].items():
            said[talked[-1]][kind] = max(size, told[kind] - sum(one[kind] for step, one in said.items() if step != talked[-1]))
    made = []
    for step in lost:
        before = closed.get(step, NO_USAGE)
        usage = _rest(estimate(request, said[step]), before) if step in talked else NO_USAGE
        made.append(LostStep(step, said[step], before + usage, usage))
    return made


def unread_steps(rows: Sequence[Row], *, opened: Mapping[int, Usage], closed: Mapping[int, Usage]) -> list[LostStep]:
    """Close the steps that are open of a run that cannot be read: they said what was saved, and asked what their open attempts say."""
    made = []
    for row in rows:
        if row["outcome"] != "OPEN":
            continue
        said, before = {"text": row["text_bytes"], "reasoning": row["reasoning_bytes"]}, closed.get(row["step"], NO_USAGE)
        asked = row["step"] in opened or any(said.values())
        usage = _rest(opened.get(row["step"], NO_USAGE) + estimate(_UNREAD, said), before) if asked else NO_USAGE
        made.append(LostStep(row["step"], said, before + usage, usage))
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
