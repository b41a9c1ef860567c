"""Assistants: instructions, a model and parameters in versions that never change; drafts are released, and may be withdrawn."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.names import checked_name
from auth.policies.assistants import can_edit_assistant, can_publish_assistant, can_see_assistant, can_use_assistant
from auth.viewers import Viewer
from db.scopes import Reading, Row, TenantScopes, Writing
from db.statements import assistants, members, tenants
from db.tables.assistants import Assistant, AssistantVersion
from errors import Conflict, Invalid, NotFound, PermissionDenied
from events.facts import (
    AssistantAudience,
    AssistantCreated,
    AssistantUpdated,
    AssistantVersionCreated,
    AssistantVersionReleased,
    AssistantVersionWithdrawn,
    record,
)
from inference.offers import Models, check_answers, check_unnamed
from settings import Settings

_SLUG: Final = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,63}")
_LONGEST_CHANGELOG: Final = 2000


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """How a model is asked; None leaves a thing to the model."""

    temperature: float | None = None
    max_output_tokens: int | None = None


class Content(msgspec.Struct, frozen=True):
    """What a version holds, kept as one encrypted document."""

    instructions: str
    parameters: Parameters
    changelog: str | None = None


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Somebody whom an assistant is given to: a USER, all of a ROLE, or EVERYONE in the tenant."""

    kind: str
    role: str
    id: UUID | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AssistantDraft:
    """A new version; `assistant_id=None` makes an assistant with it. None leaves slug, name and grants as they are."""

    instructions: str
    assistant_id: UUID | None = None
    slug: str | None = None
    name: str | None = None
    model_id: UUID | None = None
    parameters: Any = field(default_factory=dict)
    changelog: str | None = None
    grants: Sequence[Grant] | None = None
    expected_number: int | None = None


class AssistantIsNotReleased(Conflict):
    """Nobody can begin a chat with an assistant that has no released version, nor go on in one."""

    def __init__(self, message: str = "The assistant has no released version.", *, path: Sequence[str] = ("assistantId",)) -> None:
        super().__init__(message, path=path)


class VersionIsWithdrawn(Conflict):
    """What was taken back answers nobody any more."""

    def __init__(self) -> None:
        super().__init__("This version of the assistant was withdrawn.", path=("assistantVersionId",))


class Assistants:
    """Makes, changes and publishes assistants for viewers. Every method checks what the viewer may do with the assistant's row."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, models: Models, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._models = models
        self._settings = settings

    async def write(self, viewer: Viewer, draft: AssistantDraft) -> Row:
        """Add a draft to an assistant, or make an assistant with its first one; returns the version."""
        content = self._content(draft)
        if draft.model_id is not None:
            check_answers(await self._models.offering(viewer.tenant_id, viewer.user_id), draft.model_id, path=("modelId",))
        cipher = await self._keyring.cipher(viewer.tenant_id)
        async with self._scopes.writing(viewer.tenant_id) as scope:
            assistant = await (self._made if draft.assistant_id is None else self._changed)(scope, viewer, cipher, draft)
            version_id = uuid7()
            written = AssistantVersionCreated(assistant_id=assistant["id"], version_id=version_id)
            await record(scope, viewer.tenant_id, written, by=viewer)
            return await assistants.add_version(
                scope,
                AssistantVersion(
                    tenant_id=viewer.tenant_id, id=version_id, assistant_id=assistant["id"], number=assistant["last_number"], state="DRAFT",
                    content=cipher.encrypt("assistant_versions", "content", version_id, msgspec.msgpack.encode(content)),
                    model_id=draft.model_id, created_by=viewer.user_id,
                ),
            )  # fmt: skip

    async def publish(self, viewer: Viewer, version_id: UUID, state: str) -> Row:
        """Release a version, which is used from then on, or withdraw it, so that the newest released one is; returns the assistant.

        Raises `ModelIsUnavailable` rather than release what its publisher could not ask.
        """
        offering = await self._models.offering(viewer.tenant_id, viewer.user_id)
        async with self._scopes.writing(viewer.tenant_id) as scope:
            missing = NotFound("There is no AssistantVersion with this id.", path=("versionId",))
            if not (found := await assistants.versions_by_ids(scope, viewer.tenant_id, [version_id])):
                raise missing
            assistant = await self._locked(scope, viewer, found[0]["assistant_id"], missing)
            if not can_publish_assistant(viewer, assistant):
                raise PermissionDenied("Only the assistant's owners decide what others are given.", required_scopes=("assistants:admin",))
            if state == "RELEASED":
                check_unnamed(offering, found[0]["model_id"], None, path=("versionId",))
            await assistants.set_state(scope, viewer.tenant_id, version_id, state)
            changed = AssistantVersionWithdrawn if state == "WITHDRAWN" else AssistantVersionReleased
            await record(scope, viewer.tenant_id, changed(assistant_id=assistant["id"], version_id=version_id), by=viewer)
            current: UUID | None = version_id
            if state == "WITHDRAWN":
                current = assistant["current_version_id"]
                if current == version_id:
                    current = await assistants.newest_released(scope, viewer.tenant_id, assistant["id"])
            return await assistants.change(scope, viewer.tenant_id, assistant["id"], {Assistant.current_version_id: current})

    async def _made(self, scope: Writing, viewer: Viewer, cipher: TenantCipher, draft: AssistantDraft) -> Row:
        # One at a time, so that two at once do not go beyond the limit together.
        await tenants.locked(scope, viewer.tenant_id)
        most = self._settings.assistants_per_tenant
        if await assistants.count(scope, viewer.tenant_id) >= most:
            raise Invalid(f"A tenant has at most {most} assistants.", constraint=f"max_items={most}")
        if draft.slug is None or draft.name is None:
            raise Invalid(
                "A new assistant needs a slug and a name.", path=("slug" if draft.slug is None else "name",), constraint="required"
            )
        assistant_id = uuid7()
        made = await assistants.create(
            scope,
            Assistant(
                tenant_id=viewer.tenant_id, id=assistant_id, slug=_checked_slug(draft.slug), owner_id=viewer.user_id, last_number=1,
                name=_sealed_name(cipher, assistant_id, draft.name), grants=await self._grants(scope, viewer, draft.grants or ()),
            ),
        )  # fmt: skip
        if made is None:
            raise Conflict("Another assistant has this slug.", path=("slug",))
        await record(scope, viewer.tenant_id, AssistantCreated(assistant_id=assistant_id), by=viewer)
        return made

    async def _changed(self, scope: Writing, viewer: Viewer, cipher: TenantCipher, draft: AssistantDraft) -> Row:
        assert draft.assistant_id is not None, "the caller looked"
        assistant = await self._locked(
            scope, viewer, draft.assistant_id, NotFound("There is no Assistant with this id.", path=("assistantId",))
        )
        if not can_edit_assistant(viewer, assistant):
            raise PermissionDenied("Only the assistant's editors and owners may do this.", required_scopes=("assistants:admin",))
        if draft.expected_number not in (None, assistant["last_number"]):
            number = assistant["last_number"]
            raise Conflict("Somebody wrote another version meanwhile.", path=("expectedNumber",), current_revision=number)
        values: dict[Any, Any] = {Assistant.last_number: assistant["last_number"] + 1}
        if draft.slug not in (None, assistant["slug"]):
            raise Invalid("An assistant keeps its slug.", path=("slug",), constraint="immutable")
        if draft.name is not None:
            values[Assistant.name] = _sealed_name(cipher, assistant["id"], draft.name)
        if draft.grants is not None:
            if not can_publish_assistant(viewer, assistant):
                raise PermissionDenied("Only the assistant's owners decide who is given it.", required_scopes=("assistants:admin",))
            values[Assistant.grants] = await self._grants(scope, viewer, draft.grants)
        if draft.name is not None or draft.grants is not None:
            before = None if draft.grants is None else AssistantAudience(assistant["owner_id"], assistant["grants"])
            await record(scope, viewer.tenant_id, AssistantUpdated(assistant_id=assistant["id"], before=before), by=viewer)
        return await assistants.change(scope, viewer.tenant_id, assistant["id"], values)

    async def _locked(self, scope: Writing, viewer: Viewer, assistant_id: UUID, missing: NotFound) -> Row:
        assistant = await assistants.locked(scope, viewer.tenant_id, assistant_id)
        if assistant is None or not can_see_assistant(viewer, opened_grants(assistant)):
            raise missing
        return opened_grants(assistant)

    async def _grants(self, scope: Writing, viewer: Viewer, grants: Sequence[Grant]) -> str:
        """Spell grants for the row, after a look at whom they are for."""
        most = self._settings.assistant_max_grants
        if len(grants) > most:
            raise Invalid(f"An assistant has at most {most} grants.", path=("grants",), constraint=f"max_items={most}")
        roles = {role["id"] for role in await members.roles_of_tenant(scope, viewer.tenant_id)} if grants else set()
        for grant in grants:
            if grant.kind == "ROLE" and grant.id not in roles:
                raise NotFound("There is no TenantRole with this id.", path=("grants", "roleId"))
            if grant.kind == "USER" and (grant.id is None or await members.standing(scope, viewer.tenant_id, grant.id) is None):
                raise NotFound("There is no member with this id.", path=("grants", "userId"))
        spelled = [
            {
                "kind": grant.kind, "role": grant.role, "id": grant.id and grant.id.hex, "granted_by": viewer.user_id.hex,
                "expires_at": grant.expires_at and grant.expires_at.astimezone(UTC).isoformat(),
            }
            for grant in grants
        ]  # fmt: skip
        return msgspec.json.encode(spelled).decode()

    def _content(self, draft: AssistantDraft) -> Content:
        most = self._settings.assistant_max_bytes
        if not draft.instructions.strip() or len(draft.instructions.encode()) > most or "\x00" in draft.instructions:
            raise Invalid(f"Instructions have 1 to {most:,} bytes and no NUL.", path=("instructions",), constraint=f"bytes=1..{most}")
        if draft.changelog is not None and len(draft.changelog) > _LONGEST_CHANGELOG:
            raise Invalid(
                f"A changelog has at most {_LONGEST_CHANGELOG} characters.",
                path=("changelog",),
                constraint=f"length=..{_LONGEST_CHANGELOG}",
            )
        return Content(draft.instructions, checked_parameters(draft.parameters), draft.changelog)


def checked_parameters(given: Any) -> Parameters:
    """Read parameters; raises `Invalid` for what is none."""
    try:
        parameters = msgspec.convert(given or {}, Parameters)
    except msgspec.ValidationError as error:
        raise Invalid(f"Parameters are `temperature` and `maxOutputTokens`: {error}.", path=("parameters",), constraint="known") from None
    if parameters.temperature is not None and not 0 <= parameters.temperature <= 2:
        raise Invalid("A temperature lies between 0 and 2.", path=("parameters", "temperature"), constraint="range=0..2")
    if parameters.max_output_tokens is not None and parameters.max_output_tokens < 1:
        raise Invalid("An answer has at least one token.", path=("parameters", "maxOutputTokens"), constraint="min=1")
    return parameters


async def usable_version(scope: Reading, viewer: Viewer, assistant_id: UUID) -> Row:
    """Find the version that a chat would use which the viewer begins with an assistant.

    Raises `NotFound`, as for a missing one, where the assistant is not theirs to use, and `AssistantIsNotReleased`.
    """
    found = await assistants.by_ids(scope, viewer.tenant_id, [assistant_id])
    if not found or not can_use_assistant(viewer, opened_grants(found[0])):
        raise NotFound("There is no Assistant with this id.", path=("assistantId",))
    if found[0]["current_version_id"] is None:
        raise AssistantIsNotReleased
    return (await assistants.versions_by_ids(scope, viewer.tenant_id, [found[0]["current_version_id"]]))[0]


async def version_chosen(scope: Reading, viewer: Viewer, version_id: UUID) -> Row:
    """Read the version that was chosen for an answer which the viewer asks for: drafts are for the assistant's editors.

    Whoever chose it may have been somebody else, or the viewer while it was theirs to use. Raises `NotFound`, as for a missing one, where
    it is not, and `VersionIsWithdrawn`.
    """
    versions = await assistants.versions_by_ids(scope, viewer.tenant_id, [version_id])
    found = await assistants.by_ids(scope, viewer.tenant_id, [one["assistant_id"] for one in versions])
    may = can_edit_assistant if versions and versions[0]["state"] == "DRAFT" else can_use_assistant
    if not found or not may(viewer, opened_grants(found[0])):
        raise NotFound("There is no AssistantVersion with this id.", path=("assistantVersionId",))
    if versions[0]["state"] == "WITHDRAWN":
        raise VersionIsWithdrawn
    return versions[0]


async def version_of_chat(scope: Reading, tenant_id: UUID, chat_id: UUID) -> Row | None:
    """Find the version that answers in a chat now: that of its assistant, whoever writes in it. None where it has no assistant."""
    row = await assistants.of_chat(scope, tenant_id, chat_id)
    if row is not None and row["id"] is None:
        # No field of the input names the assistant: it is the chat's.
        raise AssistantIsNotReleased("The chat's assistant has no released version.", path=())
    return row


def opened_grants(assistant: Row) -> Row:
    """Read the grants of an assistant's row, as policies want them."""
    return {**assistant, "grants": msgspec.json.decode(assistant["grants"])} if isinstance(assistant["grants"], str) else assistant


def opened_names(cipher: TenantCipher, rows: Sequence[Row]) -> list[str | Exception]:
    """Decrypt the names of assistants; in the place of one that is unreadable stands why."""
    contents = cipher.decrypt_many("assistants", "name", [(row["id"], row["name"]) for row in rows])
    return [content.decode() if isinstance(content, bytes) else content for content in contents]


def opened_content(cipher: TenantCipher, version: Row) -> Content:
    """Decrypt what a version holds; raises `ContentIsUnreadable`."""
    return msgspec.msgpack.decode(cipher.decrypt("assistant_versions", "content", version["id"], version["content"]), type=Content)


def _sealed_name(cipher: TenantCipher, assistant_id: UUID, name: str) -> bytes:
    return cipher.encrypt("assistants", "name", assistant_id, checked_name(name).encode())


def _checked_slug(slug: str) -> str:
    if _SLUG.fullmatch(slug) is None:
        raise Invalid("A slug has 1 to 64 letters a to z, digits and single dashes between them.", path=("slug",), constraint="slug")
    return slug
