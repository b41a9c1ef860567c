"""The router: whom it asks and why, what it does after each kind of failure, and what it tells of it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from valkey.asyncio import Valkey

from db.scopes import TenantScopes
from inference.deployments import Capability, Deployment, FallbackRule, MidStream, Policy, Price, Strategy
from inference.models import (
    FailureKind,
    Finished,
    ModelMessage,
    ModelRequest,
    ProviderFailed,
    ReasoningDelta,
    StopReason,
    TextDelta,
    Usage,
)
from inference.providers import Providers
from inference.routing import Rerouted, Route, Router
from inference.standings import LocalStandings, Rules
from inference.stickiness import Stickiness
from inference.uses import KeyUses
from settings import Settings
from tests.inference.conftest import Make, asking, deployment_at
from tests.inference.fault_server import WELL, WORDS, Fault, FaultServer
from tests.inference.speeches import SPEECHES, USED

TEXT = "".join(WORDS)
BUSY = Fault(refuse=FailureKind.RATE_LIMIT)
DOWN = Fault(status=503)


@dataclass
class Told:
    """What a route told, and how it ended."""

    text: str = ""
    changes: list[Rerouted] = field(default_factory=list)
    finished: Finished | None = None
    failure: ProviderFailed | None = None


async def told(route: Route) -> Told:
    heard = Told()
    try:
        async for event in route.events():
            if isinstance(event, TextDelta):
                heard.text += event.text
            elif isinstance(event, Rerouted):
                heard.changes.append(event)
                if event.restarts:
                    heard.text = ""
            elif isinstance(event, Finished):
                heard.finished = event
    except ProviderFailed as failure:
        heard.failure = failure
    return heard


def models(route: Route) -> list[str]:
    return [attempt.deployment.model.key for attempt in route.attempts]


Open = Callable[..., Router]


@pytest.fixture
async def open_router(make_settings: Make, settings: Settings, valkey: Valkey, scopes: TenantScopes) -> AsyncIterator[Open]:
    opened: list[Router] = []

    def make(**given: Any) -> Router:
        known: dict[str, Any] = {
            "model_backoff_ms": 0.0,
            "model_patience_seconds": 0.0,
            "model_failures": 3,
            "model_cooldown_seconds": 60.0,
        }
        used = make_settings(**(known | {"valkey_prefix": settings.valkey_prefix} | given))
        standings = LocalStandings(Rules.of(used))
        opened.append(Router(Providers(used), standings, Stickiness(valkey, used), KeyUses(scopes, used), used, chance=random.Random(7)))
        return opened[-1]

    yield make
    for router in opened:
        await router.close()
        await router.providers.close()


@pytest.fixture
async def router(open_router: Open) -> Router:
    return open_router()


At = Callable[..., Deployment]


@pytest.fixture
def at(fault_server: FaultServer) -> At:
    return lambda name, **given: deployment_at(fault_server, given.pop("wire", "openai"), name, **given)


def policy(*candidates: Deployment, **given: Any) -> Policy:
    return Policy(id=uuid4(), name="test", candidates=candidates, **given)


# Whom it asks.


async def test_priority_asks_the_lowest_order_and_shares_out_among_equals_by_weight(router: Router, at: At) -> None:
    heavy, light, later = at("heavy", weight=3), at("light", weight=1), at("later", order=1, weight=100)
    chosen = Counter([(await router.explain(policy(later, light, heavy), asking("x"))).deployment.model.key for _ in range(400)])
    assert set(chosen) == {"heavy", "light"}
    assert 240 < chosen["heavy"] < 360


async def test_weights_share_out_whatever_the_order(router: Router, at: At) -> None:
    ways = policy(at("a", weight=1), at("b", weight=9, order=5), strategy=Strategy.WEIGHTED)
    decisions = [await router.explain(ways, asking("x")) for _ in range(400)]
    assert 320 < sum(one.deployment.model.key == "b" for one in decisions) < 399
    assert decisions[0].reason.startswith("It was drawn by lot, with a weight of ")


async def test_the_soonest_first_token_is_asked_for_and_who_was_never_measured_before_that(router: Router, at: At) -> None:
    slow, fast, new = at("slow"), at("fast"), at("new")
    await router.standings.answered(slow, after_ms=900)
    await router.standings.answered(fast, after_ms=100)
    by_latency = policy(slow, fast, strategy=Strategy.LEAST_LATENCY)
    decision = await router.explain(by_latency, asking("x"))
    assert (decision.deployment, decision.reason) == (fast, "Its first token comes soonest, after about 100 ms.")
    assert (await router.explain(policy(slow, new, fast, strategy=Strategy.LEAST_LATENCY), asking("x"))).deployment == new


async def test_the_cheapest_for_this_question_is_asked_and_unknown_prices_last(router: Router, at: At) -> None:
    reads = at("reads", price=Price(version="1", input=Decimal(1), output=Decimal(9)))
    writes = at("writes", price=Price(version="1", input=Decimal(4), output=Decimal(1)))
    ways = policy(at("unknown"), reads, writes, strategy=Strategy.LEAST_COST)
    short, long = asking("x", max_output_tokens=900), asking("x" * 40_000, max_output_tokens=1)
    assert (await router.explain(ways, short)).deployment == writes
    decision = await router.explain(ways, long)
    assert decision.deployment == reads
    assert decision.reason == "It costs least, at most about 0.01002 USD."


async def test_the_least_busy_and_the_least_used_are_asked(router: Router, at: At) -> None:
    busy, idle = at("busy", tpm=1_000_000), at("idle", tpm=1000)
    await router.standings.book(busy, uuid4(), tokens=500)
    decision = await router.explain(policy(busy, idle, strategy=Strategy.LEAST_BUSY), asking("x"))
    assert (decision.deployment, decision.reason) == (idle, "It is the least busy, with 0 answers under way.")
    attempt = uuid4()
    await router.standings.book(idle, attempt, tokens=400)
    await router.standings.ended(idle, attempt, tokens=0)
    decision = await router.explain(policy(busy, idle, strategy=Strategy.USAGE), asking("x"))
    assert (decision.deployment, decision.reason) == (busy, "It was used least this minute, with 500 tokens.")


async def test_a_chat_stays_where_it_was_answered_while_that_is_well(router: Router, at: At, fault_server: FaultServer) -> None:
    chat_id, ways = uuid4(), policy(at("a"), at("b"), at("c"))
    first = router.route(ways, asking("x"), chat_id=chat_id)
    await told(first)
    for _ in range(10):
        route = router.route(ways, asking("x"), chat_id=chat_id)
        await told(route)
        assert models(route) == models(first)
        assert route.attempts[0].reason == "It answered this chat last, and may still have in mind what it read."
    fault_server.plan(models(first)[0], Fault(refuse=FailureKind.RATE_LIMIT, retry_after="60"))
    moved = router.route(ways, asking("x"), chat_id=chat_id)
    await told(moved)
    assert len(moved.attempts) == 2
    after = router.route(ways, asking("x"), chat_id=chat_id)
    await told(after)
    assert models(after) == models(moved)[1:]
    others = {(await router.explain(ways, asking("x"), chat_id=uuid4())).deployment.model.key for _ in range(40)}
    assert len(others) > 1


async def test_a_policy_may_be_without_memory(router: Router, at: At) -> None:
    chat_id, ways = uuid4(), policy(at("a"), at("b"), sticky=False)
    routes = [router.route(ways, asking("x"), chat_id=chat_id) for _ in range(20)]
    for route in routes:
        await told(route)
    assert {name for route in routes for name in models(route)} == {"a", "b"}


async def test_only_allowed_regions_are_asked_in_fallbacks_too(router: Router, at: At, fault_server: FaultServer) -> None:
    there, here, backup = at("there", region="us"), at("here", region="eu", order=1), at("backup", region="us")
    rule = FallbackRule(on=frozenset(FailureKind), to=(backup,))
    ways = policy(there, here, fallbacks=(rule,), allowed_regions=frozenset({"eu"}), max_retries=1)
    route = router.route(ways, asking("x"))
    fault_server.plan("here", DOWN)
    heard = await told(route)
    assert heard.failure is not None
    assert (models(route), fault_server.count("there"), fault_server.count("backup")) == (["here", "here"], 0, 0)
    nowhere = router.route(policy(there, allowed_regions=frozenset({"eu"})), asking("x"))
    assert (await told(nowhere)).failure is not None
    assert nowhere.attempts == []


async def test_only_who_has_the_capabilities_and_the_room_is_asked(router: Router, at: At) -> None:
    blind = at("blind", context_tokens=100_000)
    seeing = at("seeing", order=1, capabilities=frozenset({Capability.TEXT, Capability.VISION}), context_tokens=2000)
    ways = policy(blind, seeing)
    needs = frozenset({Capability.TEXT, Capability.VISION})
    assert (await router.explain(ways, asking("x"), capabilities=needs)).deployment == seeing
    assert (await router.explain(ways, asking("x"))).deployment == blind
    with pytest.raises(ProviderFailed) as caught:
        await router.explain(ways, asking("x" * 9000), capabilities=needs)
    assert caught.value.kind is FailureKind.CONTEXT_WINDOW
    with pytest.raises(ProviderFailed) as caught:
        await router.explain(policy(blind), asking("x"), capabilities=needs)
    assert str(caught.value.message) == "No model that may be asked can answer this."


async def test_a_conversation_that_no_candidate_can_read_falls_back_before_anybody_is_asked(
    router: Router, at: At, fault_server: FaultServer
) -> None:
    short, long = at("short", context_tokens=1000), at("long", context_tokens=50_000)
    ways = policy(short, fallbacks=(FallbackRule(on=frozenset({FailureKind.CONTEXT_WINDOW}), to=(long,)),))
    route = router.route(ways, asking("x" * 9000))
    assert (await told(route)).text == TEXT
    assert (models(route), fault_server.count("short")) == (["long"], 0)
    assert route.attempts[0].reason == "The policy falls back to it after CONTEXT_WINDOW."


async def test_an_answer_is_never_asked_to_be_longer_than_its_model_gives(router: Router, at: At, fault_server: FaultServer) -> None:
    await told(router.route(policy(at("m", max_output_tokens=50)), asking("x", max_output_tokens=70)))
    assert fault_server.asked[0].body["max_tokens"] == 50


# What it does after failures.


@pytest.mark.parametrize("wire", SPEECHES)
async def test_a_failure_before_the_first_token_leads_to_the_next_and_nobody_sees_a_seam(
    wire: str, router: Router, at: At, fault_server: FaultServer
) -> None:
    ways = policy(at("one", wire=wire), at("two", wire=wire, order=1))
    fault_server.plan("one", DOWN)
    route = router.route(ways, asking("x"))
    heard = await told(route)
    assert (heard.text, heard.finished, models(route)) == (TEXT, Finished(StopReason.END_TURN), ["one", "two"])
    (change,) = heard.changes
    assert (change.failed.failure, change.continues, change.restarts) == (FailureKind.SERVER_ERROR, False, False)
    assert change.next is route.attempts[1]
    assert [attempt.number for attempt in route.attempts] == [1, 2]
    assert route.attempts[0].usage.output_tokens == route.attempts[0].usage.input_tokens == 0
    assert route.usage == USED


@pytest.mark.parametrize(
    "kind", [FailureKind.RATE_LIMIT, FailureKind.TIMEOUT, FailureKind.SERVER_ERROR, FailureKind.AUTH, FailureKind.BUDGET]
)
async def test_a_failure_of_one_place_leads_to_another_candidate(
    kind: FailureKind, router: Router, at: At, fault_server: FaultServer
) -> None:
    fault_server.plan("one", Fault(refuse=kind))
    route = router.route(policy(at("one"), at("two", order=1)), asking("x"))
    assert (await told(route)).text == TEXT
    assert models(route) == ["one", "two"]


@pytest.mark.parametrize("kind", FailureKind)
async def test_each_kind_of_failure_has_its_own_fallbacks(kind: FailureKind, router: Router, at: At, fault_server: FaultServer) -> None:
    rules = tuple(FallbackRule(on=frozenset({one}), to=(at(f"after-{one}"),)) for one in FailureKind)
    fault_server.plan("one", Fault(refuse=kind))
    route = router.route(policy(at("one"), fallbacks=rules), asking("x"))
    assert (await told(route)).text == TEXT
    assert models(route) == ["one", f"after-{kind}"]
    assert route.attempts[1].reason == f"The policy falls back to it after {kind}."


@pytest.mark.parametrize("kind", [FailureKind.CONTEXT_WINDOW, FailureKind.CONTENT_POLICY])
async def test_what_the_model_itself_refuses_is_not_asked_of_its_twins(
    kind: FailureKind, router: Router, at: At, fault_server: FaultServer
) -> None:
    fault_server.plan("one", Fault(refuse=kind))
    route = router.route(policy(at("one"), at("two", order=1)), asking("x"))
    heard = await told(route)
    assert heard.failure is not None
    assert (heard.failure.kind, models(route)) == (kind, ["one"])


async def test_a_longer_candidate_is_asked_after_a_conversation_was_too_long(router: Router, at: At, fault_server: FaultServer) -> None:
    fault_server.plan("one", Fault(refuse=FailureKind.CONTEXT_WINDOW))
    route = router.route(policy(at("one"), at("twin", order=1), at("longer", order=2, context_tokens=200_000)), asking("x"))
    assert (await told(route)).text == TEXT
    assert models(route) == ["one", "longer"]


@pytest.mark.parametrize(
    "fault", [DOWN, Fault(hang_before_headers=True), Fault(hang_at=0), Fault(malformed_at=0)], ids=["503", "hangs", "silent", "nonsense"]
)
async def test_the_only_one_is_asked_again_as_often_as_the_policy_says(
    fault: Fault, open_router: Open, at: At, fault_server: FaultServer
) -> None:
    router = open_router(model_first_token_seconds=0.2, model_failures=9)
    fault_server.plan("one", fault)
    route = router.route(policy(at("one"), max_retries=2), asking("x"))
    heard = await told(route)
    assert heard.failure is not None
    assert fault_server.count("one") == 3
    assert [attempt.reason for attempt in route.attempts] == ["It is the only one that fits.", "It is asked again.", "It is asked again."]
    fault_server.plan("one", fault, WELL)
    assert (await told(router.route(policy(at("one"), max_retries=2), asking("x")))).text == TEXT


@pytest.mark.parametrize("fault", [Fault(refuse=FailureKind.AUTH), Fault(refuse=FailureKind.BUDGET), Fault(status=400, body=b"{}")])
async def test_what_will_not_pass_is_not_asked_again(fault: Fault, router: Router, at: At, fault_server: FaultServer) -> None:
    fault_server.plan("one", fault)
    assert (await told(router.route(policy(at("one")), asking("x")))).failure is not None
    assert fault_server.count("one") == 1


async def test_a_policy_without_retries_asks_once(router: Router, at: At, fault_server: FaultServer) -> None:
    fault_server.plan("one", DOWN)
    assert (await told(router.route(policy(at("one"), at("two"), max_retries=0), asking("x")))).failure is not None
    assert len(fault_server.asked) <= 1


@pytest.mark.parametrize(("fault", "seconds"), [(replace(BUSY, retry_after="1"), 1), (replace(BUSY, retry_after_ms="300"), 0.3)])
async def test_retry_after_is_waited_for(fault: Fault, seconds: float, open_router: Open, at: At, fault_server: FaultServer) -> None:
    router, loop = open_router(model_patience_seconds=5.0), asyncio.get_running_loop()
    fault_server.plan("one", fault, WELL)
    began = loop.time()
    heard = await told(router.route(policy(at("one")), asking("x")))
    assert heard.text == TEXT
    assert loop.time() - began >= seconds
    assert fault_server.count("one") == 2


async def test_a_longer_pause_than_anybody_waits_for_ends_the_run_and_keeps_others_away(
    router: Router, at: At, fault_server: FaultServer
) -> None:
    one = at("one")
    fault_server.plan("one", Fault(refuse=FailureKind.RATE_LIMIT, retry_after="60"), WELL)
    for _ in range(3):
        heard = await told(router.route(policy(one), asking("x")))
        assert heard.failure is not None
        assert heard.failure.retry_after_ms is not None
    assert fault_server.count("one") == 1
    decision = await router.explain(policy(one, at("two", order=1)), asking("x"))
    assert decision.deployment.model.key == "two"
    assert decision.reason.startswith("It comes first in the policy's order, at 1. Passed over: one (cooling down for ")


async def test_a_bad_key_keeps_nobody_away_who_has_another_one(router: Router, at: At, fault_server: FaultServer) -> None:
    bad = at("m", credential_id=uuid4())
    good = msgspec.structs.replace(bad, credential_id=uuid4())
    fault_server.plan("m", *[Fault(refuse=FailureKind.AUTH)] * 3, WELL)
    for _ in range(4):
        assert (await told(router.route(policy(bad), asking("x")))).failure is not None
    assert fault_server.count("m") == 3  # it cools down
    assert (await told(router.route(policy(good), asking("x")))).text == TEXT
    assert (await told(router.route(policy(bad), asking("x")))).failure is not None
    assert fault_server.count("m") == 4


async def test_a_limit_is_kept_by_asking_others(router: Router, at: At, fault_server: FaultServer) -> None:
    ways = policy(at("small", rpm=2), at("large", order=1))
    routes = [router.route(ways, asking("x")) for _ in range(5)]
    for route in routes:
        assert (await told(route)).text == TEXT
    assert (fault_server.count("small"), fault_server.count("large")) == (2, 3)
    assert "Passed over: small (at its limit of requests for " in routes[-1].attempts[0].reason


# In mid-stream.

BREAKS = {
    "an error": Fault(error_at=(3, FailureKind.SERVER_ERROR)),
    "a malformed chunk": Fault(malformed_at=3),
    "a rate limit": Fault(error_at=(3, FailureKind.RATE_LIMIT)),
    "an end without a goodbye": Fault(words=WORDS[:3], silent_goodbye=True),
    "silence": Fault(hang_at=3),
}
HALF = "".join(WORDS[:3])


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
async def test_an_answer_that_breaks_ends_there_where_the_policy_says_so(
    fault: Fault, open_router: Open, at: At, fault_server: FaultServer
) -> None:
    router = open_router(model_silence_seconds=0.2)
    fault_server.plan("one", fault)
    route = router.route(policy(at("one"), at("two", order=1)), asking("x"))
    heard = await told(route)
    assert heard.failure is not None
    assert (heard.text, models(route), heard.changes) == (HALF, ["one"], [])
    assert route.usage.output_tokens > 0


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
async def test_an_answer_that_breaks_begins_anew_where_the_policy_says_so(
    fault: Fault, open_router: Open, at: At, fault_server: FaultServer
) -> None:
    router = open_router(model_silence_seconds=0.2)
    fault_server.plan("one", fault)
    route = router.route(policy(at("one"), at("two", order=1), mid_stream=MidStream.RESTART), asking("x"))
    heard = await told(route)
    assert (heard.text, models(route)) == (TEXT, ["one", "two"])
    assert [(change.restarts, change.continues) for change in heard.changes] == [(True, False)]
    assert fault_server.of("two")[0].body["messages"] == fault_server.of("one")[0].body["messages"]


@pytest.mark.parametrize("prefills", [True, False])
@pytest.mark.parametrize("wire", SPEECHES)
async def test_an_answer_that_breaks_goes_on_where_it_broke(
    wire: str, router: Router, at: At, fault_server: FaultServer, *, prefills: bool
) -> None:
    able = frozenset({Capability.TEXT, Capability.PREFILL} if prefills else {Capability.TEXT})
    fault_server.plan("one", BREAKS["an error"])
    strips = wire == "anthropic" or not prefills
    fault_server.plan("two", Fault(words=(" word3 " if strips else "word3 ", *WORDS[4:])))  # the space is there already
    ways = policy(at("one", wire=wire), at("two", wire=wire, order=1, capabilities=able), mid_stream=MidStream.CONTINUE_PARTIAL)
    route = router.route(ways, asking("x"))
    heard = await told(route)
    assert heard.text == TEXT
    assert [(change.restarts, change.continues) for change in heard.changes] == [(False, True)]
    assert [attempt.continues for attempt in route.attempts] == [False, True]
    body = fault_server.of("two")[0].body
    said = [(message["role"], message["content"]) for message in body.get("messages") or body["input"]]
    texts = [(role, content if isinstance(content, str) else content[0]["text"]) for role, content in said]
    if prefills:
        assert texts[-1] == ("assistant", HALF.rstrip() if strips else HALF)
    else:
        assert texts[-2] == ("assistant", HALF.rstrip())
        assert texts[-1][0] == "user"
        assert texts[-1][1].startswith("Your last message was cut off by a technical failure.")


async def test_an_answer_may_break_more_than_once(router: Router, at: At, fault_server: FaultServer) -> None:
    fault_server.plan("one", Fault(error_at=(3, FailureKind.SERVER_ERROR)))
    fault_server.plan("two", Fault(words=WORDS[3:], error_at=(4, FailureKind.SERVER_ERROR)))
    fault_server.plan("three", Fault(words=WORDS[7:]))
    ways = policy(at("one"), at("two", order=1), at("three", order=2), mid_stream=MidStream.CONTINUE_PARTIAL)
    route = router.route(ways, asking("x"))
    heard = await told(route)
    assert (heard.text, len(heard.changes)) == (TEXT, 2)
    assert fault_server.of("three")[0].body["messages"][-2] == {"role": "assistant", "content": "".join(WORDS[:7]).rstrip()}
    assert route.usage.output_tokens == sum(attempt.usage.output_tokens for attempt in route.attempts)
    assert all(attempt.usage.output_tokens for attempt in route.attempts)


async def test_thoughts_alone_are_not_gone_on_with_but_thought_again(router: Router, at: At, fault_server: FaultServer) -> None:
    fault_server.plan("one", Fault(thoughts=("hm ",), error_at=(0, FailureKind.SERVER_ERROR)))
    route = router.route(policy(at("one"), at("two", order=1), mid_stream=MidStream.CONTINUE_PARTIAL), asking("x"))
    heard = await told(route)
    assert (heard.text, [(change.restarts, change.continues) for change in heard.changes]) == (TEXT, [(True, False)])


async def test_an_answer_that_began_elsewhere_goes_on_only_where_the_model_can(router: Router, at: At, fault_server: FaultServer) -> None:
    able = at("able", order=1, capabilities=frozenset({Capability.TEXT, Capability.PREFILL}))
    fault_server.plan("able", Fault(words=("there", ".")))
    request = ModelRequest(messages=(ModelMessage("user", "x"), ModelMessage("assistant", "Hello ")), max_output_tokens=9)
    route = router.route(policy(at("unable"), able), request)
    assert (await told(route)).text == "there."
    assert models(route) == ["able"]
    assert fault_server.asked[0].body["messages"][-1] == {"role": "assistant", "content": "Hello "}


# What it counts.


async def test_leaving_ends_the_attempt_with_what_was_said(router: Router, at: At, fault_server: FaultServer) -> None:
    fault_server.plan("one", Fault(hang_at=3))
    one = at("one")
    route = router.route(policy(one), asking("x"))
    stream = route.events()
    assert [await anext(stream) for _ in range(3)] == [TextDelta(word) for word in WORDS[:3]]
    await stream.aclose()
    (attempt,) = route.attempts
    assert (attempt.failure, attempt.message) == (None, "It was stopped.")
    assert attempt.ended_at is not None
    assert (attempt.usage.output_tokens, attempt.usage.estimated) == (-(-len(HALF) // 4), True)
    async with asyncio.timeout(10):
        await fault_server.asked[0].left.wait()
    assert (await router.standings.look([one.id]))[0].busy == 0


async def test_a_choice_that_is_never_asked_is_given_back(router: Router, at: At, fault_server: FaultServer) -> None:
    one = at("one", tpm=200)
    route = router.route(policy(one), asking("x"))
    assert await route.begin() is route.attempts[0]
    route.leave()
    await asyncio.gather(*router._telling)
    assert (await router.standings.look([one.id]))[0].busy == 0
    assert fault_server.asked == []
    assert (await told(router.route(policy(one), asking("x")))).text == TEXT


async def test_each_attempt_knows_its_cost(router: Router, at: At, fault_server: FaultServer) -> None:
    used = Usage(input_tokens=1_000_000, output_tokens=2_000_000)
    fault_server.plan("one", Fault(used=used))
    priced = at("one", price=Price(version="v1", input=Decimal("0.5"), output=Decimal(2)))
    route = router.route(policy(priced), asking("x"))
    await told(route)
    assert (route.attempts[0].usage, route.attempts[0].cost) == (used, Decimal("4.5"))
    unpriced = router.route(policy(at("two")), asking("x"))
    await told(unpriced)
    assert unpriced.attempts[0].cost is None


async def test_thoughts_and_words_come_as_the_provider_sends_them(router: Router, at: At, fault_server: FaultServer) -> None:
    fault_server.plan("one", Fault(thoughts=("hm ",), words=("so",)))
    events = [event async for event in router.route(policy(at("one")), asking("x")).events()]
    assert events == [ReasoningDelta("hm "), TextDelta("so"), Finished(StopReason.END_TURN)]
