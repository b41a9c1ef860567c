"""What may be kept of an answer, for whom, under which name, and how much a process keeps."""

from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from graphql import GraphQLObjectType, get_operation_ast, parse, validate
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from auth.viewers import Viewer
from execution.declarations import METADATA, Batch
from schema.caching import KEPT_FOR, KeptFor
from schema.schema import build_schema
from settings import Settings
from tests.test_settings import LEAST
from web.documents import DocumentIsBad, Documents
from web.door import Door
from web.keeping import Keeping, Key
from web.kept_answers import LARGEST_SHARE, OVERHEAD, KeptAnswer, KeptAnswers

SCHEMA = build_schema()
CORE = SCHEMA._schema
TENANTS = [UUID(int=number) for number in range(1, 5)]
JSON = st.recursive(
    st.sampled_from([None, False, True, 0, 1, 0.0, 1.0, -0.0, 2**40, "", "1", "true", "null", "é", "e\N{COMBINING ACUTE ACCENT}"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["", "a", "b"]), inner, max_size=2),
    max_leaves=4,
)
QUERY = "query Q($a: JSON, $b: JSON) @cached { viewer { permissions } }"


def viewer(**more: Any) -> Viewer:
    return Viewer(tenant_id=TENANTS[0], user_id=uuid4(), role_id=uuid4(), scopes=frozenset({"chats:read"}), **more)


@lru_cache
def keeping(text: str, name: str | None = None) -> Keeping:
    document = parse(text)
    operation = get_operation_ast(document, name)
    assert operation is not None
    found = Keeping.of(CORE, text, document, operation)
    assert found is not None
    return found


def key(text: str, who: Viewer, variables: dict[str, Any] | None = None, name: str | None = None) -> Key:
    found = keeping(text, name).key(who, variables or {})
    assert found is not None
    return found


ADA = viewer()


def shuffled(value: Any) -> Any:
    """The same value with the keys of its objects in another order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(one) for one in value] if isinstance(value, list) else value


@given(st.lists(st.dictionaries(st.sampled_from("ab"), JSON), min_size=2, max_size=2))
def test_answers_have_one_name_where_the_variables_are_the_same_json(given: list[dict[str, Any]]) -> None:
    one, other = given
    alike = orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    assert (key(QUERY, ADA, one) == key(QUERY, ADA, other)) is alike
    assert key(QUERY, ADA, shuffled(one)) == key(QUERY, ADA, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, "1"), (1, True), (0, False), (None, "null"), ("é", "e\N{COMBINING ACUTE ACCENT}"), ([1], 1), ({}, []), (0.0, -0.0)],
)
def test_values_that_are_alike_are_not_the_same(one: Any, other: Any) -> None:
    assert key(QUERY, ADA, {"a": one}) != key(QUERY, ADA, {"a": other})
    assert key(QUERY, ADA, {"a": one, "b": other}) != key(QUERY, ADA, {"a": other, "b": one})
    assert key(QUERY, ADA, {"a": None}) != key(QUERY, ADA, {}), "a default may stand for what is left out"


def test_what_the_operation_does_not_declare_is_in_no_name() -> None:
    assert key(QUERY, ADA, {"a": 1, "c": 2}) == key(QUERY, ADA, {"a": 1})


def test_variables_that_cannot_be_written_down_have_no_name() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert keeping(QUERY).key(ADA, {"a": deep}) is None


def test_operations_and_documents_have_names_of_their_own() -> None:
    two = "query A @cached { viewer { permissions } } query B @cached { viewer { permissions } }"
    names = [key(two, ADA, name="A"), key(two, ADA, name="B"), key(two + " ", ADA, name="A")]
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"user_id": uuid4()},
        {"role_id": uuid4()},
        {"scopes": frozenset()},
        {"session_id": uuid4()},
        {"api_key_id": uuid4()},
        {"schema_closed": True},
        {"document_client": "mobile"},
        {"tenant_id": TENANTS[1]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_name_holds_all_that_a_viewer_is_and_a_common_one_what_makes_people_alike(changed: dict[str, Any]) -> None:
    own, common = "query Q @cached { viewer { permissions } }", "query Q @cached { tenant { name } }"
    other = replace(ADA, **changed)
    assert key(own, ADA) != key(own, other)
    assert (key(common, ADA) != key(common, other)) is bool(changed.keys() & {"scopes", "schema_closed", "tenant_id"})


@pytest.mark.parametrize(
    ("selection", "kept_for"),
    [
        ("tenant { id name createdAt status }", KeptFor.STANDING),
        ("tenant { roles { id name scopes } settings }", KeptFor.STANDING),
        ("tenant { members(first: 3) { totalCount pageInfo { endCursor } edges { node { user { name } } } } }", KeptFor.STANDING),
        ("__typename apiInfo { version limits { maxCost } } __schema { types { name } }", KeptFor.STANDING),
        ("providers(first: 3) { nodes { key endpoint } }", KeptFor.STANDING),
        ("providers(first: 3) { nodes { key health } }", KeptFor.CREDENTIAL),
        ("tenant { name } viewer { permissions }", KeptFor.CREDENTIAL),
        ("tenant { ...T } } fragment T on Tenant { name apiKeys(first: 1) { nodes { id } }", KeptFor.CREDENTIAL),
        ("models(first: 3) { nodes { key } }", KeptFor.CREDENTIAL),
        ("tenant { ... on Node { id ... on Chat { messages(first: 3) { nodes { id } } } } }", KeptFor.CREDENTIAL),
        ('node(id: "x") { id }', KeptFor.CREDENTIAL),
        ("chats(first: 1) { nodes { title } }", KeptFor.CREDENTIAL),
        ("tenant { name } rateLimit { limit }", KeptFor.NOBODY),
        ("viewer { tenants(first: 1) { nodes { id } } }", KeptFor.NOBODY),
        ("chats(first: 1) { nodes { title context { limitTokens } } }", KeptFor.NOBODY),
        ("explainRoute(input: {content: []}) { __typename }", KeptFor.NOBODY),
        ("estimateRun(input: {content: []}) { inputTokens }", KeptFor.NOBODY),
        ('sharedChat(token: "x") { title }', KeptFor.NOBODY),
        ('documentCost(document: "x") { cost }', KeptFor.NOBODY),
    ],
)  # fmt: skip
def test_an_answer_is_for_those_to_whom_all_of_its_fields_are(selection: str, kept_for: KeptFor) -> None:
    text = f"query @cached {{ {selection} }}"
    assert validate(CORE, parse(text)) == []
    assert keeping(text).kept_for is kept_for


def test_fields_that_are_found_once_for_all_who_are_alike_are_these() -> None:
    """A new one is to be looked at: it may look at nothing of its viewer but the tenant and the scopes."""
    found = set()
    for name, kind in CORE.type_map.items():
        for field_name, field in kind.fields.items() if isinstance(kind, GraphQLObjectType) else ():
            metadata = getattr(field.extensions.get("strawberry-definition"), "metadata", None) or {}
            declared = metadata.get(METADATA)
            if isinstance(declared, Batch) and not declared.common and metadata.get(KEPT_FOR) is KeptFor.STANDING:
                found.add(f"{name}.{field_name}")
    assert {one for one in found if not one.endswith("Connection.totalCount")} == {
        "Query.apiInfo",
        "Query.providers",
        "Query.tenant",
        "Tenant.members",
        "Tenant.roles",
        "Tenant.settings",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("(ttl: 0)", "at least 1"),
        ("(ttl: -5)", "at least 1"),
        ("(ttl: $ttl)", "in the document itself"),
        ("(ttl: null)", "non-null"),
        ('(ttl: "5")', "Int cannot represent"),
        ("(ttl: 1.5)", "Int cannot represent"),
        ("(seconds: 5)", "Unknown argument"),
        (" @cached", "only be used once"),
    ],
)
def test_a_mark_that_says_nothing_sensible_is_refused(settings: Settings, given: str, message: str) -> None:
    text = f"query Q{'($ttl: Int!)' if '$' in given else ''} @cached{given} {{ __typename }}"
    with pytest.raises(DocumentIsBad, match=message):
        Documents(CORE, settings).examined(text)


@pytest.mark.parametrize(
    ("kind", "selection"), [("mutation", "signOut { errors { code } }"), ("subscription", "viewerEvents { __typename }")]
)
def test_only_queries_are_marked(settings: Settings, kind: str, selection: str) -> None:
    with pytest.raises(DocumentIsBad, match="may not be used on"):
        Documents(CORE, settings).examined(f"{kind} Q @cached {{ {selection} }}")


def test_a_query_that_is_marked_is_compiled(settings: Settings) -> None:
    door = Door(replace(settings, execution="compiled"), SCHEMA)
    assert door.compiled(door.documents.prepare("query Q @cached(ttl: 5) { viewer { permissions } }", None, {})) is not None


class Keeper(RuleBasedStateMachine):
    """Tenants keep, ask and change, and time passes; a plain dictionary knows what may be given."""

    MOST, MOST_BYTES = 6, 64 * OVERHEAD

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        small = replace(Settings.from_environment(LEAST), graphql_cached_answers=self.MOST, graphql_cached_answer_bytes=self.MOST_BYTES)
        self.kept = KeptAnswers(small, clock=lambda: self.time)
        self.versions = dict.fromkeys(TENANTS, 0)
        self.known: dict[tuple[Key, int], KeptAnswer] = {}

    def key(self, tenant_id: UUID, number: int) -> Key:
        return Key(replace(ADA, tenant_id=tenant_id), b"%d" % number)

    @rule(tenant_id=st.sampled_from(TENANTS), number=st.integers(0, 5), size=st.integers(0, 9 * OVERHEAD), life=st.integers(1, 60))
    def keep(self, tenant_id: UUID, number: int, size: int, life: int) -> None:
        answer, version = KeptAnswer(b"x" * size, "tag", self.time, self.time + life), self.versions[tenant_id]
        self.ask(tenant_id, number)  # which comes before it always
        found = self.kept.keep(self.key(tenant_id, number), b"%d" % version, answer)
        assert found is (answer.size <= self.MOST_BYTES // LARGEST_SHARE)
        if found:
            self.known[self.key(tenant_id, number), version] = answer

    @rule(tenant_id=st.sampled_from(TENANTS), number=st.integers(0, 5))
    def ask(self, tenant_id: UUID, number: int) -> None:
        version = self.versions[tenant_id]
        found = self.kept.find(self.key(tenant_id, number), b"%d" % version)
        assert found is None or (found is self.known[self.key(tenant_id, number), version] and found.until > self.time)

    @rule(tenant_id=st.sampled_from(TENANTS), seen=st.booleans())
    def change(self, tenant_id: UUID, *, seen: bool) -> None:
        self.versions[tenant_id] += 1
        if seen:
            assert self.kept.find(self.key(tenant_id, 0), b"%d" % self.versions[tenant_id]) is None

    @precondition(lambda self: any(self.versions.values()))
    @rule(tenant_id=st.sampled_from(TENANTS), number=st.integers(0, 5))
    def come_late(self, tenant_id: UUID, number: int) -> None:
        """An answer that was begun before the change."""
        version = self.versions[tenant_id]
        self.kept.find(self.key(tenant_id, number), b"%d" % version)
        late = KeptAnswer(b"old", "tag", self.time, self.time + 60)
        if version:
            self.kept.keep(self.key(tenant_id, number), b"%d" % (version - 1), late)
            assert self.kept.find(self.key(tenant_id, number), b"%d" % version) is not late

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.time += seconds

    @rule()
    def sweep(self) -> None:
        is_left = self.kept.sweep()
        answers = [answer for shelf in self.kept._shelves.values() for answer in shelf.answers.values()]
        assert is_left is bool(answers)
        assert all(answer.until > self.time for answer in answers)

    @invariant()
    def is_bounded(self) -> None:
        shelves = self.kept._shelves.values()
        answers = [answer for shelf in shelves for answer in shelf.answers.values()]
        assert self.kept.count == len(answers) <= self.MOST
        assert self.kept.size == sum(answer.size for answer in answers) == sum(shelf.size for shelf in shelves) <= self.MOST_BYTES
        assert all(shelf.answers for shelf in shelves)


TestKeeper = Keeper.TestCase


BOUNDS = pytest.mark.parametrize(
    "bound", [{"graphql_cached_answers": 10}, {"graphql_cached_answer_bytes": 10 * (OVERHEAD + 2)}], ids=["number", "bytes"]
)


@BOUNDS
def test_who_floods_makes_room_out_of_their_own(settings: Settings, bound: dict[str, Any]) -> None:
    kept = KeptAnswers(replace(settings, **bound))
    quiet = Key(replace(ADA, tenant_id=TENANTS[1]), b"quiet")
    answer = KeptAnswer(b"{}", "tag", 0.0, float("inf"))
    assert kept.keep(quiet, b"1", answer)
    for number in range(1000):
        kept.keep(Key(ADA, b"%d" % number), b"1", answer)
    assert kept.find(quiet, b"1") is answer
    assert kept.count == 10


@BOUNDS
def test_where_there_are_more_tenants_than_room_the_newest_comer_finds_some(settings: Settings, bound: dict[str, Any]) -> None:
    kept = KeptAnswers(replace(settings, **bound))
    keys = [Key(replace(ADA, tenant_id=UUID(int=number)), b"one") for number in range(15)]
    for key in keys:
        answer = KeptAnswer(b"{}", "tag", 0.0, float("inf"))
        assert kept.keep(key, b"1", answer)
        assert kept.find(key, b"1") is answer
    assert [kept.find(key, b"1") is not None for key in keys] == [False] * 5 + [True] * 10
