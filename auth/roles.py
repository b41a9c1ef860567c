"""The scopes that exist, and the roles every tenant begins with."""

SCOPES = {
    "chats:read": "Read chats, messages and runs that the member can see.",
    "chats:write": "Create and change chats, send messages, cancel runs.",
    "chats:delete": "Delete chats.",
    "assistants:read": "See and use the assistants that the member is given.",
    "assistants:write": "Make assistants, and change those that the member may edit.",
    "assistants:admin": "See, change and publish every assistant of the tenant.",
    "models:read": "See the models that can be asked, what they cost and where they are.",
    "models:write": "Keep one's own keys at model providers, which then pay for one's own answers.",
    "models:admin": "Bring the tenant's own models, endpoints, keys, prices and routing policies.",
    "members:read": "See the tenant's members, roles and invitations.",
    "members:admin": "Invite, change and remove members, and define roles.",
    "keys:write": "Create, rotate and revoke one's own API keys.",
    "keys:admin": "See and revoke every API key of the tenant.",
    "events:read": "Follow what happens in the tenant, whoever does it.",
    "tenant:read": "See the tenant's settings.",
    "tenant:admin": "Change the tenant's settings.",
}

OWNER = "owner"
BUILTIN: dict[str, tuple[str, ...]] = {
    OWNER: tuple(SCOPES),
    "admin": tuple(SCOPES),
    "manager": (
        "chats:read",
        "chats:write",
        "chats:delete",
        "assistants:read",
        "assistants:write",
        "models:read",
        "models:write",
        "members:read",
        "members:admin",
        "keys:write",
        "tenant:read",
    ),
    "creator": (
        "chats:read",
        "chats:write",
        "chats:delete",
        "assistants:read",
        "assistants:write",
        "models:read",
        "models:write",
        "members:read",
        "keys:write",
        "tenant:read",
    ),
    "viewer": ("chats:read", "assistants:read", "models:read", "tenant:read"),
}
