"""Events and logs for tests of reading that need no worker: a run's words, one by one, and a sink that takes what it likes."""

import os
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from auth.encryption.ciphers import TenantCipher
from chat.broadcasts import place_of
from chat.events import Event, PartStarted, ReasoningDelta, RunFinished, RunSnapshot, RunStarted, TextDelta, encoded
from chat.views import Told
from events.entries import Entry

MESSAGE, TEXT, REASONING = uuid4(), uuid4(), uuid4()


def new_cipher() -> TenantCipher:
    return TenantCipher(uuid4(), {1: os.urandom(32)}, 1)


def spoken(words: int, *, parts: Sequence[UUID] = (TEXT,)) -> list[Event]:
    """A run's events: words go to the parts in turn."""
    told: list[Event] = [RunStarted(seq=1, at=1.0, message_ids=[MESSAGE], model="scripted")]
    told.append(PartStarted(seq=2, at=1.0, message_id=MESSAGE, part_id=parts[0], kind="text"))
    said = dict.fromkeys(parts, 0)
    for number in range(words):
        part, text = parts[number % len(parts)], f"wörd{number} "
        delta = ReasoningDelta if part == REASONING else TextDelta
        told.append(delta(seq=len(told) + 1, at=2.0 + number, part_id=part, offset=said[part], text=text))
        said[part] += len(text)
    told.append(RunFinished(seq=len(told) + 1, at=9.0, status="COMPLETED"))
    return told


def sealed(cipher: TenantCipher, run_id: UUID, events: Sequence[Event], *, epoch: int = 1) -> list[Entry]:
    """The log's entries of events."""
    return [
        (f"{epoch}-{event.seq}", {b"e": cipher.encrypt("runs", "events", place_of(run_id, event.seq), encoded(event))}) for event in events
    ]


class Taking:
    """A sink that notes what it takes; `most` says how many of a batch, and `room` whether there is any."""

    def __init__(self, most: Callable[[Sequence[Told]], int] = len) -> None:
        self.taken: list[Event] = []
        self.crowded = False
        self.most = most

    def take(self, tolds: Sequence[Told]) -> int:
        allowed = [] if self.crowded else tolds[: self.most(tolds)]
        last = next((place for place, told in enumerate(allowed) if told.is_last), len(allowed))
        self.taken += [told.event for told in allowed[:last]]
        return last


def text_of(events: Sequence[Any], part: UUID = TEXT) -> str:
    """Put a part together from its deltas; each must begin where the last one ended."""
    text = ""
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta) and event.part_id == part:
            assert event.offset == len(text)
            text += event.text
    return text


def said(events: Sequence[Event]) -> dict[UUID, str]:
    """What a reader has who puts each delta where it goes, and throws all away for a snapshot; nothing may be told twice."""
    texts: dict[UUID, str] = {}
    for event in events:
        if isinstance(event, RunSnapshot):
            texts = dict(event.outputs[0]["said"])
        elif isinstance(event, TextDelta | ReasoningDelta):
            assert event.offset == len(texts.get(event.part_id, ""))
            texts[event.part_id] = texts.get(event.part_id, "") + event.text
    return texts
