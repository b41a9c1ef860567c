"""A PENNY whose tenants may ask the fault server: its owner, the models that they brought, and answers that are heard with their routes."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.api.people import done
from tests.chat.talking import Heard, new_chat, say
from tests.inference.fault_server import Fault, FaultServer
from tests.running import Api

ROUTE = "model region credentialOwner reason policy { id } chosen { id }"
ATTEMPT = "number model region reason startedAt failure message billed { amount currency } deployment { id }"
USAGE = "usage { inputTokens outputTokens cacheReadTokens reasoningTokens estimated cost { amount currency } priceVersions }"
EVENTS = f"""
subscription ($runId: ID!) {{
  runEvents(runId: $runId) {{
    __typename seq
    ... on RunStarted {{ model route {{ {ROUTE} attempts {{ number }} }} }}
    ... on RouteChanged {{ attempt {{ {ATTEMPT} }} next {{ id }} decision {{ {ROUTE} }} continuesPartial restarts }}
    ... on PartStarted {{ partId kind }}
    ... on TextDelta {{ partId offset text }}
    ... on PartCompleted {{ part {{ ... on TextPart {{ id text incomplete }} }} }}
    ... on UsageTick {{ {USAGE} }}
    ... on RunFinished {{ run {{
      id status error {{ code message }} {USAGE}
      route {{ {ROUTE} attempts {{ {ATTEMPT} }} }} outputs {{ status parts {{ ... on TextPart {{ text incomplete }} }} }}
    }} }}
  }}
}}
"""


@dataclass
class House:
    """A PENNY whose tenants may ask the fault server, an owner, and the models that they brought."""

    api: Api
    server: FaultServer
    database: str
    provider: str = ""
    models: dict[str, str] = field(default_factory=dict)
    deployments: dict[str, str] = field(default_factory=dict)

    def name(self, letter: str) -> str:
        return f"{letter}-{self.suffix}"

    suffix: str = field(default_factory=lambda: uuid4().hex[:8])

    def plan(self, letter: str, *faults: Fault) -> None:
        self.server.plan(self.name(letter), *faults)

    async def policy(self, *candidates: str, **given: Any) -> str:
        values = {"name": uuid4().hex, "candidates": [self.deployments[one] for one in candidates], **given}
        return str((await done(self.api, "routingPolicyUpsert", "policy { id }", **values))["policy"]["id"])

    async def price(self, letter: str, rate: int, currency: str = "EUR") -> str:
        values = {"inputPerMTok": rate, "outputPerMTok": 10 * rate, "currency": currency}
        given = await done(self.api, "modelPriceSet", "price { version }", modelId=self.models[letter], **values)
        return str(given["price"]["version"])

    async def hear(self, policy_id: str, *, model: str = "a", chat_id: str | None = None) -> Heard:
        chat_id = chat_id or await new_chat(self.api)
        sent = await say(self.api, chat_id, "Tell me.", modelIds=[self.models[model]], routingPolicyId=policy_id)
        assert sent["errors"] == [], sent["errors"]
        heard = Heard()
        async for payload in self.api.subscribe(EVENTS, runId=sent["runs"][0]["id"]):
            assert "errors" not in payload, payload["errors"]
            heard.events.append(payload["data"]["runEvents"])
        return heard
