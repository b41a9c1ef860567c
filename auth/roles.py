"""The scopes that exist, and the roles every tenant begins with."""

SCOPES = {
    "chats:read": "Read chats, messages and runs that the member can see.",
    "chats:write": "Create and change chats, send messages, cancel runs.",
    "chats:delete": "Delete chats.",
    "members:read": "See the tenant's members, roles and invitations.",
    "members:admin": "Invite, change and remove members, and define roles.",
    "keys:write": "Create, rotate and revoke one's own API keys.",
    "keys:admin": "See and revoke every API key of the tenant.",
    "tenant:read": "See the tenant's settings.",
    "tenant:admin": "Change the tenant's settings.",
}

OWNER = "owner"
BUILTIN: dict[str, tuple[str, ...]] = {
    OWNER: tuple(SCOPES),
    "admin": tuple(SCOPES),
    "manager": ("chats:read", "chats:write", "chats:delete", "members:read", "members:admin", "keys:write", "tenant:read"),
    "creator": ("chats:read", "chats:write", "chats:delete", "members:read", "keys:write", "tenant:read"),
    "viewer": ("chats:read", "tenant:read"),
}
