"""What an answer has said so far, and the events that tell it: one dense `seq`, text gathered into deltas."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from chat.contents import Part, ReasoningPart, TextPart
from chat.events import Event, PartCompleted, PartStarted, ReasoningDelta, TextDelta

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "\uff01", "\uff1f", "؟", "।")  # of Chinese, Arabic and Hindi too

_CLOSINGS: Final = "\"'\u201d\u2019»)*_"


@dataclass
class _Growing:
    """A part that still grows; `told` is how many code points readers know of."""

    id: UUID
    kind: str
    pieces: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    told: int = 0
    announced: bool = False

    def part(self) -> Part:
        text = "".join((*self.pieces, *self.waiting))
        return TextPart(self.id, text) if self.kind == "text" else ReasoningPart(self.id, text)


class Speech:
    """An answer in the making. `seq` is the last one given to an event."""

    def __init__(self, message_id: UUID, seq: int) -> None:
        self.message_id = message_id
        self.seq = seq
        self.bytes = {"text": 0, "reasoning": 0}
        self.deltas = 0
        self._parts: list[_Growing] = []

    def add(self, kind: str, text: str) -> None:
        """Hear more; a change of kind begins a new part."""
        if not text:
            return
        if not self._parts or self._parts[-1].kind != kind:
            self._parts.append(_Growing(uuid7(), kind))
        self._parts[-1].waiting.append(text)
        self.bytes[kind] += len(text.encode())
        self.deltas += 1

    @property
    def waits(self) -> bool:
        """Whether something was heard that no event has told yet."""
        return any(part.waiting for part in self._parts)

    @property
    def pauses(self) -> bool:
        """Whether it may well end here: nothing was said yet but thoughts, or a sentence or a line has just ended."""
        if not self._parts or self._parts[-1].kind != "text":
            return True
        said = (self._parts[-1].waiting or self._parts[-1].pieces)[-1]
        return said.endswith("\n") or said.rstrip().rstrip(_CLOSINGS).endswith(_SENTENCE_ENDS)

    def next_seq(self) -> int:
        """Count on."""
        self.seq += 1
        return self.seq

    def events(self) -> list[Event]:
        """Make the events of what was heard since the last call: one delta a part, however many tokens came."""
        made: list[Event] = []
        now = time.time()
        for part in self._parts:
            if not part.waiting:
                continue
            if not part.announced:
                made.append(PartStarted(seq=self.next_seq(), at=now, message_id=self.message_id, part_id=part.id, kind=part.kind))
                part.announced = True
            text = "".join(part.waiting)
            delta = TextDelta if part.kind == "text" else ReasoningDelta
            made.append(delta(seq=self.next_seq(), at=now, part_id=part.id, offset=part.told, text=text))
            part.pieces.append(text)
            part.waiting.clear()
            part.told += len(text)
        return made

    def endings(self) -> list[Event]:
        """Make the events that say each part is whole."""
        return [PartCompleted(seq=self.next_seq(), at=time.time(), part=part) for part in self.parts()]

    def parts(self) -> list[Part]:
        """Return all that was heard, for the saved message."""
        return [part.part() for part in self._parts]

    @classmethod
    def retold(cls, message_id: UUID, events: Iterable[Event], seq: int) -> "Speech":
        """Take up an answer from what its log says, after the worker that made it was lost."""
        speech = cls(message_id, seq)
        known: dict[UUID, _Growing] = {}
        for event in events:
            speech.seq = max(speech.seq, event.seq)
            if isinstance(event, PartStarted):
                known[event.part_id] = _Growing(event.part_id, event.kind, announced=True)
                speech._parts.append(known[event.part_id])
            elif isinstance(event, TextDelta | ReasoningDelta):
                if (part := known.get(event.part_id)) is None:  # its beginning was lost with the log
                    continue
                part.pieces.append(event.text)
                part.told += len(event.text)
                speech.bytes[part.kind] += len(event.text.encode())
        return speech

    @classmethod
    def remembered(cls, message_id: UUID, parts: Iterable[Part], seq: int) -> "Speech":
        """Take up an answer from what was saved, where its log is lost as well."""
        speech = cls(message_id, seq)
        for part in parts:
            if isinstance(part, TextPart | ReasoningPart):
                kind = "text" if isinstance(part, TextPart) else "reasoning"
                speech._parts.append(_Growing(part.id, kind, pieces=[part.text], told=len(part.text), announced=True))
                speech.bytes[kind] += len(part.text.encode())
        return speech
