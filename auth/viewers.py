"""The viewer: who is asking, for which tenant, and what the credential allows."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A member of a tenant behind a session or an API key. `scopes` are what the role and the credential both grant.

    `document_client` is the client that an API key is for; what comes after it are the tenant's settings.
    """

    tenant_id: UUID
    user_id: UUID
    role_id: UUID
    scopes: frozenset[str]
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    expires_at: datetime | None = None
    document_client: str | None = None
    trusted_documents_only: bool = False
    automatic_documents: bool = False
    schema_closed: bool = False

    def may(self, *scopes: str) -> bool:
        """Whether one of these scopes is granted; no scopes asked for means any member may."""
        return not scopes or not self.scopes.isdisjoint(scopes)

    @property
    def principal_id(self) -> UUID:
        """Whose idempotency keys these are: the API key's, or the person's. Limits are a person's, however many keys they have."""
        return self.api_key_id or self.user_id

    @property
    def credential_id(self) -> UUID:
        """The session or API key that speaks."""
        return self.session_id or self.api_key_id or self.user_id
