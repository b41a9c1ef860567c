"""`runEvents`, `Run.events` and the saved message tell one story, of whatever answer and in whatever pieces."""

import random
from typing import Any
from uuid import UUID

import pytest
from valkey.asyncio import Valkey

from tests.api.people import code_of
from tests.chat.talking import ask, new_chat
from tests.running import Api

EVENT = """
    __typename seq at
    ... on RunQueued { position }
    ... on RunStarted { outputMessageIds model }
    ... on PartStarted { partId kind messageId }
    ... on TextDelta { partId offset text }
    ... on ReasoningDelta { partId offset text }
    ... on PartCompleted { part { __typename ... on TextPart { id text } ... on ReasoningPart { id text } } }
    ... on UsageTick { usage { inputTokens outputTokens reasoningTokens } }
    ... on RunSnapshot { reason outputs { parts { ... on TextPart { id text } ... on ReasoningPart { id text } } } }
    ... on RunFinished { run { status lastSeq usage { inputTokens outputTokens reasoningTokens } } }
"""
LIVE = f"""
    subscription ($runId: ID!, $after: Seq, $coalesceMs: Int, $includeReasoning: Boolean) {{
      runEvents(runId: $runId, after: $after, coalesceMs: $coalesceMs, includeReasoning: $includeReasoning) {{ {EVENT} }}
    }}"""
PAGES = f"""
    query ($id: ID!, $first: Int!, $after: Seq) {{
      node(id: $id) {{ ... on Run {{
        status lastSeq replayableFrom replayableUntil finishedAt
        outputs {{ parts {{ __typename ... on TextPart {{ id text }} ... on ReasoningPart {{ id text }} }} }}
        events(first: $first, after: $after) {{
          edges {{ cursor }} nodes {{ {EVENT} }} pageInfo {{ hasNextPage hasPreviousPage endCursor }}
        }}
      }} }}
    }}"""

Events = list[dict[str, Any]]


async def live(api: Api, run_id: str, **arguments: Any) -> Events:
    """Follow a run to its end."""
    told = [payload async for payload in api.subscribe(LIVE, runId=run_id, **arguments)]
    assert not [payload for payload in told if "errors" in payload], told[-1]
    return [payload["data"]["runEvents"] for payload in told]


async def paged(api: Api, run_id: str, first: int, after: int | str | None = None) -> tuple[Events, dict[str, Any]]:
    """Read all pages of a run's events after a seq, and the run as the last of them has it."""
    events: Events = []
    while True:
        run = (await api.data(PAGES, id=run_id, first=first, after=after))["node"]
        page = run["events"]
        events += page["nodes"]
        assert [edge["cursor"] for edge in page["edges"]] == [str(event["seq"]) for event in page["nodes"]]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        if not page["pageInfo"]["hasNextPage"]:
            return events, run
        after = page["pageInfo"]["endCursor"]


def parts_of(events: Events) -> list[dict[str, Any]]:
    """Put a message together from the events that tell it."""
    parts: dict[str, dict[str, Any]] = {}
    for event in events:
        match event["__typename"]:
            case "PartStarted":
                kind = {"text": "TextPart", "reasoning": "ReasoningPart"}[event["kind"]]
                parts[event["partId"]] = {"__typename": kind, "id": event["partId"], "text": ""}
            case "TextDelta" | "ReasoningDelta":
                assert event["offset"] == len(parts[event["partId"]]["text"])
                parts[event["partId"]]["text"] += event["text"]
            case "PartCompleted":
                assert event["part"] == parts[event["part"]["id"]], "a whole part is what its deltas said"
    return list(parts.values())


def without_thoughts(events: Events) -> Events:
    def is_shown(event: dict[str, Any]) -> bool:
        thinks = event.get("kind") == "reasoning" or event.get("part", {}).get("__typename") == "ReasoningPart"
        return event["__typename"] != "ReasoningDelta" and not thinks

    return [event for event in events if is_shown(event)]


def words_of(events: Events) -> list[Any]:
    """The events with deltas taken apart into letters, so that larger pieces tell the same."""
    found: list[Any] = []
    for event in events:
        if "offset" in event:
            found += [(event["partId"], event["offset"] + place, letter) for place, letter in enumerate(event["text"])]
        else:
            found.append(event)
    return found


def some_script(chance: random.Random) -> str:
    words = " ".join(chance.choice(["kœnig", "漢字", "😀", "plain", "é́", '"', "\\n"]) for _ in range(chance.randint(1, 30)))
    text = chance.choice([f"tokens={chance.randint(1, 60)}", f"text={chr(39)}{words.replace(chr(39), '')}{chr(39)}"])
    fault = chance.choice(["", "", "", f"fail_at={chance.randint(0, 9)}", "finish=MAX_TOKENS", "finish=CONTENT_POLICY"])
    return f"!script {text} reasoning={chance.choice([0, 0, 3, 20])} delay_ms={chance.choice([0, 1, 4])} {fault}"


@pytest.mark.parametrize("seed", range(20))
async def test_three_reads_tell_one_story(api: Api, seed: int) -> None:
    chance = random.Random(seed)
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), some_script(chance))
    told = await live(ada, run_id)
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    events, run = await paged(ada, run_id, chance.randint(1, 20))
    assert events == told
    assert run["outputs"] == [{"parts": parts_of(told)}]
    assert told[-1]["run"]["lastSeq"] == run["lastSeq"] == len(told)
    assert told[-2]["usage"] == told[-1]["run"]["usage"]
    assert (run["replayableFrom"], run["replayableUntil"] > run["finishedAt"]) == (1, True)
    gathered = await live(ada, run_id, coalesceMs=chance.choice([1, 100, 1000]))
    assert words_of(gathered) == words_of(told)
    assert await live(ada, run_id, includeReasoning=False) == without_thoughts(told)
    after = chance.randint(0, len(told))
    assert await live(ada, run_id, after=after) == told[after:]


@pytest.mark.parametrize("seed", range(4))
async def test_views_of_an_answer_in_the_making_agree(api: Api, seed: int) -> None:
    chance = random.Random(100 + seed)
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), f"!script tokens=60 reasoning={chance.choice([0, 20])} delay_ms=3")
    gathered = await live(ada, run_id, coalesceMs=60, includeReasoning=chance.choice([True, False]))
    told = await live(ada, run_id)
    assert sum("text" in event for event in gathered) < sum("text" in event for event in told) / 2
    assert words_of(without_thoughts(gathered)) == words_of(without_thoughts(told))


async def test_events_of_a_run_that_goes_on_are_those_that_are_known(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=3000 delay_ms=10")
    stream = ada.subscribe(LIVE, runId=run_id)
    seen = [(await anext(aiter(stream)))["data"]["runEvents"] for _ in range(8)]
    events, run = await paged(ada, run_id, 100)
    assert events[:8] == seen
    assert (run["status"], run["replayableUntil"], run["replayableFrom"]) == ("RUNNING", None, 1)
    await ada.data("mutation ($id: ID!) { runCancel(input: {runId: $id}) { errors { message } } }", id=run_id)
    rest = [payload["data"]["runEvents"] async for payload in stream]
    events, run = await paged(ada, run_id, 100)
    assert events == seen + rest
    assert run["outputs"] == [{"parts": parts_of(events)}]


async def test_a_log_that_is_gone_is_one_snapshot_in_every_read(api: Api, valkey: Valkey) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=12 reasoning=4")
    told = await live(ada, run_id)
    (key,) = [key async for key in valkey.scan_iter(match=f"*:run:{UUID(run_id.removeprefix('run_'))}")]
    await valkey.unlink(key)
    snapshot, end = again = await live(ada, run_id)
    assert (snapshot["__typename"], snapshot["seq"], end["seq"]) == ("RunSnapshot", len(told) - 1, len(told))
    assert snapshot["outputs"][0]["parts"] == [{"id": part["id"], "text": part["text"]} for part in parts_of(told)]
    events, run = await paged(ada, run_id, 5)
    assert [event["seq"] for event in events] == [event["seq"] for event in again]
    assert run["replayableFrom"] == run["lastSeq"] + 1


@pytest.mark.parametrize("first", [1, 2, 50])
async def test_what_lies_beyond_the_end_is_the_end_in_every_read(api: Api, first: int) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=3")
    told = await live(ada, run_id)
    last = len(told)
    assert await live(ada, run_id, after=last) == (await paged(ada, run_id, first, last))[0] == []
    for beyond in (last + 1, 10**6):
        snapshot, end = again = await live(ada, run_id, after=beyond)
        assert (snapshot["reason"], snapshot["seq"], end["seq"]) == ("RESUME_BEYOND_END", last - 1, last)
        events, run = await paged(ada, run_id, first, beyond)
        assert events == again
        assert snapshot["outputs"][0]["parts"] == [{"id": part["id"], "text": part["text"]} for part in parts_of(told)]
        assert run["outputs"] == [{"parts": parts_of(told)}]


async def test_events_of_somebody_else_s_run_and_wrong_pieces_are_refused(api: Api) -> None:
    ada, eve = await api.sign_up(), await api.sign_up(tenant="Evil")
    run_id = await ask(ada, await new_chat(ada), "!script tokens=2")
    await live(ada, run_id)
    assert (await eve.data(PAGES, id=run_id, first=5))["node"] is None
    assert await code_of(ada, PAGES, id=run_id, first=0) == "BAD_USER_INPUT"
    for wrong in (-1, 1001):
        payload = await anext(aiter(ada.subscribe(LIVE, runId=run_id, coalesceMs=wrong)))
        assert payload["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
