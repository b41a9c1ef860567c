"""What may be kept of an operation's answer: as its document asks (`@cached`), and as its fields allow."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    GraphQLAbstractType,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    ValidationRule,
    Visitor,
    is_abstract_type,
    is_introspection_type,
    is_object_type,
    visit,
)

from auth.viewers import Viewer
from schema.caching import CACHED, KEPT_FOR, TTL, USUAL_SECONDS, KeptFor

INTROSPECTION: Final = frozenset({"__schema", "__type", "__typename"})


class Standing(NamedTuple):
    """What people have in common who may be given each other's answers where no field looks at anything else of them."""

    tenant_id: UUID
    scopes: frozenset[str]
    schema_closed: bool


class Key(NamedTuple):
    """What an answer depends on beside its tenant's version: whose it is, what was asked and with which variables."""

    whose: Viewer | Standing
    asked: bytes

    @property
    def tenant_id(self) -> UUID:
        return self.whose.tenant_id


class Keeping(NamedTuple):
    """What one operation of a document says of its answers. `digest` stands for the document and the operation's name."""

    seconds: int
    kept_for: KeptFor
    digest: bytes
    variables: tuple[str, ...]

    @classmethod
    def of(cls, schema: GraphQLSchema, text: str, document: DocumentNode, operation: OperationDefinitionNode) -> "Keeping | None":
        """Read a valid document; None where the operation is not marked."""
        marked = next((one for one in operation.directives or () if one.name.value == CACHED), None)
        if marked is None:
            return None
        name = operation.name.value if operation.name else ""
        names = tuple(sorted(one.variable.name.value for one in operation.variable_definitions or ()))
        digest = hashlib.sha256(f"{name}\0{text}".encode()).digest()
        return cls(_seconds(marked), _Narrowest(schema).of(document), digest, names)

    def key(self, viewer: Viewer, variables: Mapping[str, Any]) -> Key | None:
        """Name the answer for a viewer and these variables; None for variables that cannot be written down.

        Values are told apart as JSON spells them, so by their types too, and with them what was given from what was left out.
        """
        try:
            given = orjson.dumps({name: variables[name] for name in self.variables if name in variables}, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # nested too deeply
            return None
        is_common = self.kept_for is KeptFor.STANDING
        whose = Standing(viewer.tenant_id, viewer.scopes, viewer.schema_closed) if is_common else viewer
        return Key(whose, hashlib.sha256(self.digest + given).digest())


class _Narrowest(Visitor):
    """Finds out to whom a document's answer may be given: to those to whom all of its fields may."""

    def __init__(self, schema: GraphQLSchema) -> None:
        super().__init__()
        self._schema = schema
        self._types = TypeInfo(schema)
        self._found = KeptFor.STANDING

    def of(self, document: DocumentNode) -> KeptFor:
        """Look at all operations and fragments: one that is not run makes the answer no more common than it is."""
        visit(document, TypeInfoVisitor(self._types, self))
        return self._found

    def enter_field(self, node: FieldNode, *_: object) -> None:
        """Look at a field, in each type that it may be a field of."""
        parent, name = self._types.get_parent_type(), node.name.value
        if name in INTROSPECTION or parent is None or is_introspection_type(parent):
            return
        types: list[Any] = [parent] if is_object_type(parent) else self._possible(parent)
        self._found = min([self._found, *(_kept_for(one.fields[name]) for one in types)])

    def _possible(self, parent: Any) -> list[Any]:
        abstract: GraphQLAbstractType = parent
        return list(self._schema.get_possible_types(abstract)) if is_abstract_type(parent) else []


def _kept_for(field: Any) -> KeptFor:
    """Read a field's declaration; one that says nothing is nobody else's business."""
    definition = field.extensions.get("strawberry-definition")
    said: KeptFor = (getattr(definition, "metadata", None) or {}).get(KEPT_FOR, KeptFor.CREDENTIAL)
    return said


def _seconds(marked: DirectiveNode) -> int:
    """Read how old the answer may become; `TtlIsWritten` has seen to it that it is there as a number."""
    given = next((one.value for one in marked.arguments or () if one.name.value == TTL), None)
    return int(given.value) if isinstance(given, IntValueNode) else USUAL_SECONDS


class TtlIsWritten(ValidationRule):
    """How old an answer may become is part of the document, which is published once, and at least a second."""

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        """Look at a directive's argument; that it is a number at all is another rule's business."""
        given = next((one for one in node.arguments or () if node.name.value == CACHED and one.name.value == TTL), None)
        if given is not None and not self._is_well(given):
            self.report_error(GraphQLError(f"`{TTL}` is a number of seconds in the document itself, at least 1.", given))

    @staticmethod
    def _is_well(given: ArgumentNode) -> bool:
        if isinstance(given.value, IntValueNode):
            return int(given.value.value) >= 1
        return given.value.kind not in ("variable", "int_value")
