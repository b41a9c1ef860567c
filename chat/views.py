"""What a reader wants to be told of a run: with or without thoughts, and in pieces of which size."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from chat.contents import ReasoningPart
from chat.events import Event, PartCompleted, PartStarted, ReasoningDelta, RunFinished, TextDelta


class View(NamedTuple):
    """Readers with equal views are told the same, in the same pieces; `gather_seconds` is how far apart deltas come at least."""

    reasoning: bool = True
    gather_seconds: float = 0.0

    def shows(self, event: Event) -> bool:
        """Whether an event is told at all."""
        if self.reasoning or isinstance(event, TextDelta):
            return True
        if isinstance(event, PartStarted):
            return event.kind != "reasoning"
        if isinstance(event, PartCompleted):
            return not isinstance(event.part, ReasoningPart)
        return not isinstance(event, ReasoningDelta)


EVERYTHING = View()


class Told:
    """An event on its way to readers; `made` keeps what one of them made of it, so that it is made once for all.

    It stands for all events of the log from `since` to its own `seq`, of which those before `begins` are told to nobody here: whoever
    has read up to any place from before `since` to before `begins` may read on with it. `entry_id` is its place in the log, empty
    for what was never in it; `size` is what it costs to keep, in bytes; nothing comes after one that `is_last`.
    """

    __slots__ = ("begins", "entry_id", "event", "is_last", "made", "since", "size")

    def __init__(self, event: Event, entry_id: str = "", size: int = 0, *, since: int | None = None, begins: int | None = None) -> None:
        self.event = event
        self.entry_id = entry_id
        self.size = size
        self.begins = event.seq if begins is None else begins
        self.since = self.begins if since is None else since
        self.is_last = isinstance(event, RunFinished)
        self.made: dict[Any, Any] = {}

    def follows(self, last: int) -> bool:
        """Whether whoever has read up to this seq may read on with it."""
        return self.since <= last + 1 <= self.begins

    def after_hidden(self, since: int) -> "Told":
        """Stand for hidden events before it too; what is made of it is the same."""
        wider = Told(self.event, self.entry_id, self.size, since=since, begins=self.begins)
        wider.made = self.made
        return wider


class Veil:
    """Leaves out what a view hides, and lets what comes next stand for it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._hidden_since: int | None = None
        self._last = 0

    def shown(self, tolds: Iterable[Told]) -> list[Told]:
        """Return what is told of events as they come, in their order; what was missed in between hides nothing."""
        left: list[Told] = []
        for told in tolds:
            since = told.since if self._hidden_since is None or told.since != self._last + 1 else self._hidden_since
            self._last = told.event.seq
            if self._view.shows(told.event):
                left.append(told if since == told.since else told.after_hidden(since))
                self._hidden_since = None
            else:
                self._hidden_since = since
        return left


def merged(tolds: Sequence[Told]) -> list[Told]:
    """Tell neighbouring deltas of a part as one, with the first one's offset and the last one's seq."""
    runs: list[list[Told]] = []
    for told in tolds:
        if runs and _continues(runs[-1][-1], told):
            runs[-1].append(told)
        else:
            runs.append([told])
    return [run[0] if len(run) == 1 else _one(run) for run in runs]


def is_delta(told: Told) -> bool:
    """Whether it may wait for more of its kind."""
    return isinstance(told.event, TextDelta | ReasoningDelta)


def _continues(before: Told, told: Told) -> bool:
    one, other = before.event, told.event
    return (
        isinstance(one, TextDelta | ReasoningDelta)
        and isinstance(other, TextDelta | ReasoningDelta)
        and type(one) is type(other)
        and (one.part_id, one.offset + len(one.text), one.seq + 1) == (other.part_id, other.offset, told.since)
    )


def _one(run: list[Told]) -> Told:
    deltas = [told.event for told in run if isinstance(told.event, TextDelta | ReasoningDelta)]
    first, last = deltas[0], deltas[-1]
    text = "".join(delta.text for delta in deltas)
    event = type(first)(seq=last.seq, at=last.at, part_id=first.part_id, offset=first.offset, text=text)
    return Told(event, run[-1].entry_id, sum(told.size for told in run), since=run[0].since, begins=run[0].begins)
