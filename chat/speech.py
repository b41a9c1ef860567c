"""What an answer has said so far, and the events that tell it: one dense `seq`, text gathered into deltas."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from chat.contents import Part, ReasoningPart, TextPart
from chat.events import Event, PartCompleted, PartStarted, ReasoningDelta, RouteChanged, TextDelta

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "\uff01", "\uff1f", "؟", "।")  # of Chinese, Arabic and Hindi too

_CLOSINGS: Final = "\"'\u201d\u2019»)*_"


@dataclass
class _Growing:
    """A part that still grows; `told` is how many code points readers know of, and `waiting` is what they do not."""

    id: UUID
    kind: str
    pieces: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    told: int = 0
    announced: bool = False
    incomplete: bool = False

    def tell(self, text: str) -> None:
        """Take a piece as told."""
        self.pieces.append(text)
        self.told += len(text)

    def part(self) -> Part:
        text = "".join(self.pieces)
        if len(self.pieces) > 1:
            self.pieces = [text]
        kind = TextPart if self.kind == "text" else ReasoningPart
        return kind(self.id, text, self.incomplete)


class Speech:
    """An answer in the making.

    `seq` is the last one given to an event, `began_at` when its first words were told, `bytes` how much of each kind was told.
    """

    def __init__(self, message_id: UUID, seq: int) -> None:
        self.message_id = message_id
        self.seq = seq
        self.began_at: float | None = None
        self.bytes = {"text": 0, "reasoning": 0}
        self._parts: list[_Growing] = []
        self._made: list[Event] = []
        self._begins_anew = False

    def add(self, kind: str, text: str) -> None:
        """Hear more; a change of kind begins a new part."""
        if not text:
            return
        if self._begins_anew:
            self._break_off()
        if not self._parts or self._parts[-1].kind != kind or self._parts[-1].incomplete:
            self._parts.append(_Growing(uuid7(), kind))
        self._parts[-1].waiting.append(text)

    def turn(self, event: Callable[[int], Event], *, begins_anew: bool) -> None:
        """Tell an event of this `seq` behind all that was heard. If it begins anew, what was said before stays, as incomplete."""
        self._made = [*self.events(), event(self.next_seq())]
        self._begins_anew = self._begins_anew or begins_anew

    def _break_off(self) -> None:
        """Only where something follows: an answer that is not begun anew after all is what it was."""
        self._begins_anew = False
        for part in self._parts:
            part.incomplete = True

    @property
    def waits(self) -> bool:
        """Whether something was heard that no event has told yet."""
        return any(part.waiting for part in self._parts)

    @property
    def pauses(self) -> bool:
        """Whether it may well end here: nothing was said yet but thoughts, or a sentence or a line has just ended."""
        if not self._parts or self._parts[-1].kind != "text":
            return True
        said = (self._parts[-1].waiting or self._parts[-1].pieces or [""])[-1]
        return said.endswith("\n") or said.rstrip().rstrip(_CLOSINGS).endswith(_SENTENCE_ENDS)

    def next_seq(self) -> int:
        """Count on."""
        self.seq += 1
        return self.seq

    def events(self) -> list[Event]:
        """Make the events of what was heard since the last call: one delta a part, however many tokens came."""
        made, self._made = self._made, []
        now = time.time()
        for part in self._parts:
            if not part.waiting:
                continue
            if not part.announced:
                made.append(PartStarted(seq=self.next_seq(), at=now, message_id=self.message_id, part_id=part.id, kind=part.kind))
                part.announced = True
            text = "".join(part.waiting)
            part.waiting.clear()
            self.began_at = self.began_at or now
            delta = TextDelta if part.kind == "text" else ReasoningDelta
            made.append(delta(seq=self.next_seq(), at=now, part_id=part.id, offset=part.told, text=text))
            self._tell(part, text)
        return made

    def endings(self) -> list[Event]:
        """Make the events that say each part is whole."""
        return [PartCompleted(seq=self.next_seq(), at=time.time(), part=part) for part in self.parts()]

    def parts(self) -> list[Part]:
        """Return what was told, for the saved message: what is saved is what the events up to `seq` say, to the letter."""
        return [part.part() for part in self._parts if part.announced]

    def text(self) -> str:
        """Return what was said, without what was only thought and what broke off; what it begins with counts before it is told."""
        return "".join("".join((*part.pieces, *part.waiting)) for part in self._parts if part.kind == "text" and not part.incomplete)

    def _tell(self, part: _Growing, text: str) -> None:
        part.tell(text)
        self.bytes[part.kind] += len(text.encode())

    @classmethod
    def retold(cls, message_id: UUID, saved: Iterable[Part], events: Iterable[Event], seq: int) -> "Speech":
        """Take up an answer after its worker was lost: from what was saved of it, and what its log tells beyond that."""
        speech = cls(message_id, seq)
        known: dict[UUID, _Growing] = {}
        for part in saved:
            if isinstance(part, TextPart | ReasoningPart):
                kind = "text" if isinstance(part, TextPart) else "reasoning"
                grown = speech._known(known, part.id, kind)
                grown.incomplete = part.incomplete
                speech._tell(grown, part.text)
        for event in events:
            speech.seq = max(speech.seq, event.seq)
            if isinstance(event, RouteChanged):
                speech._begins_anew = event.restarts
            elif isinstance(event, PartStarted):
                if speech._begins_anew and event.part_id not in known:
                    speech._break_off()
                speech._known(known, event.part_id, event.kind)
            elif isinstance(event, TextDelta | ReasoningDelta):
                speech.began_at = speech.began_at or event.at
                growing = known.get(event.part_id)
                # Beyond a hole, which only a loss of the log can leave, nothing can be joined on.
                if growing is not None and event.offset <= growing.told and (text := event.text[growing.told - event.offset :]):
                    speech._tell(growing, text)
        return speech

    @classmethod
    def continuing(cls, message_id: UUID, parts: Iterable[Part], events: Iterable[Event]) -> "Speech":
        """Begin with what an answer said that ended too early, as if it had just been heard; its last part goes on."""
        speech = cls(message_id, max((event.seq for event in events), default=0))
        for part in parts:
            if isinstance(part, TextPart | ReasoningPart):
                kind = "text" if isinstance(part, TextPart) else "reasoning"
                speech._parts.append(_Growing(part.id, kind, waiting=[part.text]))
        return speech

    def _known(self, known: dict[UUID, _Growing], part_id: UUID, kind: str) -> _Growing:
        if part_id not in known:
            known[part_id] = _Growing(part_id, kind, announced=True)
            self._parts.append(known[part_id])
        return known[part_id]


def bytes_of(parts: Iterable[Part]) -> dict[str, int]:
    """Measure what parts say and think."""
    measured = {"text": 0, "reasoning": 0}
    for part in parts:
        if isinstance(part, TextPart | ReasoningPart):
            measured["text" if isinstance(part, TextPart) else "reasoning"] += len(part.text.encode())
    return measured
