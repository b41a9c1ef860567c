"""Events of runs are told alike by the compiler, for one reader or for all of them at once, and by graphql-core."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from chat import events
from chat.contents import NoticePart, ReasoningPart, TextPart
from chat.routes import Taken, Tried
from db.scopes import Row
from db.statements import messages
from inference.models import Usage
from schema.ids import type_and_id
from schema.run_events import EVENTS
from tests.execution.comparing import Answer
from tests.execution.documents import Style, Writer
from tests.execution.stories import Story
from tests.execution.trials import EXAMPLES, difference_of_tail, judge_of, run_reference

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

STYLE: Final = Style(most_fields=15)


def told(messages: list[UUID], rows: list[Row]) -> Iterable[events.Event]:
    """An event of every kind, and one that cannot be shown."""
    one: dict[str, Any] = {"seq": 7, "at": time.time()}
    part_id = uuid7()
    yield events.RunQueued(position=2, **one)
    yield events.RunStarted(message_ids=messages, model="scripted", **one)
    chosen: dict[str, Any] = {
        "policy_id": None,
        "deployment_id": part_id,
        "model": "m",
        "region": None,
        "credential_owner": "PLATFORM",
        "reason": "Cheap.",
    }
    tried: dict[str, Any] = {
        "number": 1,
        "started_at": datetime.now(UTC),
        "failure": "TIMEOUT",
        "message": "Late.",
        "cost": Decimal("0.1"),
        "currency": "EUR",
    }
    yield events.RouteChanged(failed=Tried(**chosen, **tried), next=Taken(**chosen), continues=True, restarts=False, **one)
    yield events.PartStarted(message_id=messages[0], part_id=part_id, kind="text", **one)
    yield events.TextDelta(part_id=part_id, offset=3, text="ünï\n", **one)
    yield events.TextDelta(part_id=part_id, offset=2**40, text="too far", **one)
    yield events.ReasoningDelta(part_id=part_id, offset=0, text="", **one)
    yield events.PartCompleted(part=TextPart(part_id, "All."), **one)
    yield events.PartCompleted(part=ReasoningPart(part_id, "Hm."), **one)
    yield events.PartCompleted(part=NoticePart(part_id, "cut", "Cut."), **one)
    yield events.UsageTick(usage=Usage(input_tokens=1, output_tokens=2**60), **one)
    yield events.RunSnapshot(reason="GAP", outputs=rows, **one)
    yield events.RunSnapshot(reason="NO_SUCH_REASON", outputs=[], **one)
    yield events.Heartbeat(**one)
    yield events.RunFinished(status="COMPLETED", **one)


async def test_an_event_of_every_kind_is_told_as_graphql_core_does(story: Story) -> None:
    named = [found for found in map(type_and_id, story.ids) if found is not None]
    runs = [id_ for kind, id_ in named if kind == "Run"]
    message_ids = [id_ for kind, id_ in named if kind == "Message"][:3]
    viewer = story.viewers["owner"]
    assert viewer is not None
    async with story.door.process.works.scopes.reading(viewer.tenant_id) as scope:
        rows = await messages.by_ids(scope, viewer.tenant_id, message_ids)
    stream = list(told(message_ids, rows))
    assert {type(event) for event in stream} == set(EVENTS)
    for seed in range(max(1, EXAMPLES // 10)):
        random = Random(seed)
        writer = Writer(story.door.schema, random, story.pools, STYLE)
        written = writer.document("Subscription")
        # With a null for its run the subscription would not have begun.
        variables = {name: value for name, value in writer.variables(written, strange=0.02).items() if value is not None}
        for event in stream:
            shown = EVENTS[type(event)](row={"run_id": random.choice(runs), **msgspec.structs.asdict(event)})
            found = await difference(story, written.text, variables, shown)
            assert found is None, f"{found}\n{event} with {variables}:\n{written.text}"


async def difference(story: Story, text: str, variables: dict[str, Any], event: Any) -> str | None:
    """Tell an event both ways and say how the answers differ, or return None."""
    prepared = story.door.documents.prepare(text, None, variables)
    operation = story.door.compiled(prepared)
    assert operation is not None
    core, document, node = story.door.schema, prepared.document, prepared.operation
    compiled = Answer.of(await operation.execute(story.context("owner"), variables, root_value=event))
    reference = Answer.of(await run_reference(core, document, node, story.context("owner"), variables, root=event))
    judge = await judge_of(core, document, node, story.context("owner"), variables, root=event)
    if (found := judge.difference(compiled, reference)) is not None:
        return found
    tail = operation.tail(variables)
    return None if tail is None else await difference_of_tail(tail, story.context("owner"), event, judge, reference)
