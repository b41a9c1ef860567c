"""Global ids: a short prefix that names the type, and the row's UUID. Only this layer knows them."""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from errors import NotFound

PREFIXES: Final = {
    "User": "usr",
    "Tenant": "ten",
    "TenantKey": "tky",
    "TenantMembership": "mem",
    "TenantRole": "rol",
    "Invitation": "inv",
    "Session": "ses",
    "ApiKey": "key",
    "Chat": "chat",
    "ChatParticipant": "cpt",
    "Assistant": "ast",
    "AssistantVersion": "asv",
    "ChatShare": "shr",
    "Message": "msg",
    "Branch": "brn",
    "Part": "prt",
    "Run": "run",
    "BackgroundJob": "job",
    "Event": "evt",
    "Provider": "prv",
    "Model": "mdl",
    "ProviderCredential": "crd",
    "ModelPrice": "prc",
    "RoutingPolicy": "pol",
    "ModelDeployment": "dep",
    "DocumentManifest": "mft",
    "TrustedDocument": "tdc",
}
_TYPES: Final = {prefix: name for name, prefix in PREFIXES.items()}


def global_id(type_name: str, id: UUID) -> str:
    """Spell a row's id for the world: `chat_019…`."""
    return f"{PREFIXES[type_name]}_{id.hex}"


def ids_of(type_name: str) -> Callable[[UUID], str]:
    """Return what spells the ids of one type."""
    prefix = f"{PREFIXES[type_name]}_"
    return lambda row_id: prefix + row_id.hex


def type_and_id(text: str) -> tuple[str, UUID] | None:
    """Read a global id; None for anything that is none."""
    prefix, _, digits = text.partition("_")
    if (type_name := _TYPES.get(prefix)) is None or len(digits) != 32 or not digits.isascii():
        return None
    try:
        return type_name, UUID(hex=digits)
    except ValueError:
        return None


def local_id(text: str, type_name: str, *, path: Sequence[str] = ()) -> UUID:
    """Read a global id of this type; any other text is not found, as another tenant's id is."""
    found = type_and_id(text)
    if found is None or found[0] != type_name:
        raise NotFound(f"There is no {type_name} with this id.", path=path)
    return found[1]
