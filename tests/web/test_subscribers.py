"""Subscriptions are counted by the person, however many keys they have."""

from contextlib import ExitStack
from dataclasses import replace
from uuid import uuid4

import pytest

from auth.viewers import Viewer
from settings import Settings
from web.requests import BadRequest
from web.subscribers import Subscribers


def test_all_keys_of_a_person_follow_as_much_as_one(settings: Settings) -> None:
    subscribers = Subscribers(replace(settings, principal_max_subscriptions=2))
    ada = Viewer(tenant_id=uuid4(), user_id=uuid4(), role_id=uuid4(), scopes=frozenset())
    with ExitStack() as following:
        for _ in range(2):
            following.enter_context(subscribers.one_more(replace(ada, api_key_id=uuid4())))
        with pytest.raises(BadRequest), subscribers.one_more(replace(ada, api_key_id=uuid4())):
            pass
        with subscribers.one_more(replace(ada, user_id=uuid4())):
            pass
    with subscribers.one_more(ada):
        pass
