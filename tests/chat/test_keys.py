"""What is known of a key at a provider: when it was used, whether it is taken, and how its provider is, by what runs have met."""

from datetime import datetime
from typing import Any

from inference.models import FailureKind
from tests.api.people import done, soon
from tests.chat.houses import House
from tests.inference.fault_server import WELL, Fault

KEY = "query ($id: ID!) { node(id: $id) { ... on ProviderCredential { status lastUsedAt rotatedAt provider { health } } } }"


async def key_of(house: House, **given: Any) -> str:
    values = {"providerId": house.provider, "secret": "sk-0123456789abcdef", **given}
    return str((await done(house.api, "providerCredentialSet", "credential { id }", **values))["credential"]["id"])


async def known(house: House, key_id: str) -> Any:
    return (await house.api.data(KEY, id=key_id))["node"]


async def test_a_key_is_known_by_the_runs_that_use_it(house: House) -> None:
    key_id, policy_id = await key_of(house), await house.policy("a", maxRetries=0)
    assert await known(house, key_id) == {"status": "UNUSED", "lastUsedAt": None, "rotatedAt": None, "provider": {"health": "UNKNOWN"}}
    heard = await house.hear(policy_id)
    assert heard.end["status"] == "COMPLETED"

    async def used() -> Any:
        if (found := await known(house, key_id))["lastUsedAt"] is None:
            raise LookupError("it is noted beside the answer")
        return found

    found = await soon(used)
    assert (found["status"], found["provider"]["health"]) == ("WORKING", "HEALTHY")
    began = next(event for event in heard.events if event["__typename"] == "RunFinished")["run"]["route"]["attempts"][0]["startedAt"]
    assert datetime.fromisoformat(found["lastUsedAt"]) >= datetime.fromisoformat(began)
    # Used again at once: not written again, and refused this time.
    house.plan("a", Fault(refuse=FailureKind.AUTH))
    assert (await house.hear(policy_id)).end["status"] == "FAILED"
    again = await known(house, key_id)
    assert (again["status"], again["lastUsedAt"]) == ("REFUSED", found["lastUsedAt"])
    assert again["provider"]["health"] in {"DEGRADED", "COOLDOWN"}
    # Another secret is another key: what was known is of the one before.
    house.plan("a", WELL)
    await key_of(house, id=key_id, providerId=None)
    renewed = await known(house, key_id)
    assert (renewed["status"], renewed["provider"]["health"]) == ("UNUSED", "UNKNOWN")
    assert renewed["rotatedAt"] is not None
    assert (await house.hear(policy_id)).end["status"] == "COMPLETED"
    assert (await known(house, key_id))["status"] == "WORKING"


async def test_a_key_that_is_taken_and_fails_all_the_same_is_told_apart(house: House) -> None:
    key_id, policy_id = await key_of(house), await house.policy("b", maxRetries=0)
    house.plan("b", Fault(status=503))
    assert (await house.hear(policy_id, model="b")).end["status"] == "FAILED"
    assert (await known(house, key_id))["status"] == "FAILING"
