"""An answer taken up from what was saved and what its log says is the one that was being made, whatever either of them lacks."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from chat.events import Event, PartStarted, ReasoningDelta, TextDelta
from chat.speech import Speech

MESSAGE = uuid4()
heard = st.lists(st.tuples(st.sampled_from(["text", "reasoning"]), st.text(min_size=1, max_size=5), st.booleans()), max_size=30)


def spoken(words: list[tuple[str, str, bool]]) -> tuple[list[Event], list[Speech], Speech]:
    """What is told of words, some of them gathered; and the answer as it was saved after each telling."""
    speech, events, saved = Speech(MESSAGE, 0), list[Event](), list[Speech]()
    for kind, text, tells in words:
        speech.add(kind, text)
        if tells:
            events += speech.events()
            saved.append(Speech.retold(MESSAGE, speech.parts(), [], speech.seq))
    events += speech.events()
    return events, saved, speech


@given(heard, st.data())
def test_saved_parts_and_a_later_log_make_the_whole(words: list[tuple[str, str, bool]], data: st.DataObject) -> None:
    events, saved, speech = spoken(words)
    then = data.draw(st.sampled_from(saved)) if saved else Speech(MESSAGE, 0)
    first = data.draw(st.integers(0, then.seq))  # the log may begin anywhere before what was saved, or right after it
    retold = Speech.retold(MESSAGE, then.parts(), events[first:], then.seq)
    assert retold.parts() == speech.parts()
    assert (retold.seq, retold.bytes, retold.text()) == (speech.seq, speech.bytes, speech.text())


@given(heard)
def test_what_is_saved_is_what_was_told_to_the_letter(words: list[tuple[str, str, bool]]) -> None:
    speech, events = Speech(MESSAGE, 0), list[Event]()
    for kind, text, tells in words:
        speech.add(kind, text)
        if tells:
            events += speech.events()
        said = {event.part_id: "" for event in events if isinstance(event, PartStarted)}
        for event in events:
            if isinstance(event, TextDelta | ReasoningDelta):
                assert event.offset == len(said[event.part_id])
                said[event.part_id] += event.text
        assert [(part.id, part.text) for part in speech.parts()] == list(said.items())
        assert [event.seq for event in events] == list(range(1, speech.seq + 1))
