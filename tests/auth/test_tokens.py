"""Tokens are unguessable, say where their row is, and refuse typing mistakes by themselves."""

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth import tokens

TENANT = UUID("0199f3a1-7c1e-7bbb-8a8a-0123456789ab")
KEY = UUID("0199f3a2-0000-7000-8000-00000000000f")


@given(st.uuids(), st.uuids())
def test_an_api_key_leads_to_its_row_and_only_there(tenant_id: UUID, key_id: UUID) -> None:
    text = tokens.new_api_key(tenant_id, key_id)
    found = tokens.parse_api_key(text)
    assert found is not None
    assert (found.tenant_id, found.key_id) == (tenant_id, key_id)
    assert found.secret in text
    assert text.startswith(tokens.api_key_prefix(key_id))
    assert found.secret not in repr(found)


@pytest.mark.parametrize("extreme", [UUID(int=0), UUID(int=2**128 - 1)])
def test_the_smallest_and_the_greatest_id_fit(extreme: UUID) -> None:
    found = tokens.parse_api_key(tokens.new_api_key(extreme, extreme))
    assert found is not None
    assert (found.tenant_id, found.key_id) == (extreme, extreme)
    assert tokens.parse_link_token(tokens.new_link_token(extreme)) == tokens.LinkToken(extreme)


@given(st.data())
def test_one_wrong_or_swapped_letter_is_refused_before_any_look_up(data: st.DataObject) -> None:
    text = tokens.new_api_key(TENANT, KEY)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("0Oo1lI_zZ9- "))
    wrong = text[:place] + letter + text[place + 1 :]
    assert (tokens.parse_api_key(wrong) is None) == (wrong != text)
    swapped = text[:place] + text[place : place + 2][::-1] + text[place + 2 :]
    assert (tokens.parse_api_key(swapped) is None) == (swapped != text)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text + "\n",
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text.lower(),
        lambda text: text.replace("live", "test"),
        lambda text: text.replace("_", "\N{FULLWIDTH LOW LINE}"),
        lambda text: text[:-1] + "\N{FULLWIDTH DIGIT ONE}",
    ],
)
def test_what_is_not_an_api_key_is_none(change: Callable[[str], str]) -> None:
    text = tokens.new_api_key(TENANT, KEY)
    assert tokens.parse_api_key(text) is not None
    assert tokens.parse_api_key(change(text)) is None


def test_an_id_beyond_128_bits_is_refused_even_with_a_right_checksum() -> None:
    body = f"pny_live_{'z' * 44}_{'0' * 43}"
    assert tokens.parse_api_key(f"{body}_{tokens._checksum(body)}") is None
    body = f"pny_live_{'0' * 44}_{'0' * 43}"
    assert tokens.parse_api_key(f"{body}_{tokens._checksum(body)}") is not None
    assert tokens.parse_link_token(f"pni_{'z' * 22}_{'0' * 43}") is None


def test_a_scanner_finds_a_leaked_key_by_the_published_pattern() -> None:
    pattern = re.search(r"^ {4}(pny_live_\S+)$", tokens.__doc__ or "", re.MULTILINE)
    assert pattern
    text = tokens.new_api_key(TENANT, KEY)
    assert re.findall(pattern[1], f"curl -H 'Authorization: Bearer {text}' # oops") == [text]


def test_an_invitation_names_its_tenant_and_a_reset_none() -> None:
    assert tokens.parse_link_token(tokens.new_link_token(TENANT)) == tokens.LinkToken(TENANT)
    assert tokens.parse_link_token(tokens.new_link_token()) == tokens.LinkToken(None)
    assert tokens.parse_link_token(tokens.new_session_token()) is None
    assert tokens.parse_link_token(tokens.new_link_token()[:-1]) is None


def test_a_session_token_is_known_by_its_form() -> None:
    text = tokens.new_session_token()
    assert tokens.is_session_token(text)
    assert not tokens.is_session_token(text + "x")
    assert not tokens.is_session_token(tokens.new_link_token())


def test_no_two_tokens_are_alike() -> None:
    made = {
        make() for _ in range(2000) for make in (tokens.new_session_token, tokens.new_link_token, lambda: tokens.new_api_key(TENANT, KEY))
    }
    assert len(made) == 6000


def test_a_hash_tells_tokens_apart_and_takes_any_text() -> None:
    one, other = tokens.new_session_token(), tokens.new_session_token()
    assert len(tokens.hash_token(one)) == 32
    assert tokens.hashes_match(tokens.hash_token(one), tokens.hash_token(one))
    assert not tokens.hashes_match(tokens.hash_token(one), tokens.hash_token(other))
    assert tokens.hash_token("\ud800") != tokens.hash_token("?")
