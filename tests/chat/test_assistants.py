"""What assistants promise where several people make them at once."""

import asyncio
from dataclasses import replace

from chat.assistants import AssistantDraft, Assistants
from db.statements import assistants
from errors import Invalid
from tests.auth.people import open_house
from web.works import Process


async def test_a_tenant_has_no_more_assistants_than_its_limit_however_many_are_made_at_once(process: Process) -> None:
    works = process.works
    few = replace(works.settings, assistants_per_tenant=3)
    making = Assistants(scopes=works.scopes, keyring=works.keyring, models=works.models, settings=few)
    async with open_house(process) as house:
        viewer = (await house.signed_up()).viewer
    drafts = [AssistantDraft(slug=f"one-{number}", name="One", instructions="Be brief.") for number in range(8)]
    made = await asyncio.gather(*(making.write(viewer, draft) for draft in drafts), return_exceptions=True)
    refusals = [one for one in made if isinstance(one, BaseException)]
    assert [type(one) for one in refusals] == [Invalid] * 5
    async with works.scopes.reading(viewer.tenant_id) as scope:
        assert await assistants.count(scope, viewer.tenant_id) == 3
