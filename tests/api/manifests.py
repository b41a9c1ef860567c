"""Manifests as tests write them: a document and its hash, and what publishes them."""

import hashlib
from typing import Any

from tests.api.people import mutate
from tests.running import Api

MANIFEST = (
    "id client version documentCount lastUsedAt breakingChanges documents(first: 100) { nodes { id sha256 operationName body cost } }"
)
VIEWER = "query Viewer {\n  viewer { user { name } }\n}"
SIGN_IN = "mutation SignIn($input: SignInInput!) { signIn(input: $input) { tokenOnce errors { code } } }"


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def flat(*texts: str) -> dict[str, str]:
    """A manifest of the simplest form."""
    return {hash_of(text): text for text in texts}


async def published(api: Api, manifest: Any, *, client: str = "mobile", version: str = "1.0", **more: Any) -> Any:
    """Publish a manifest and return the whole payload."""
    given = {"client": client, "version": version, "manifest": manifest, **more}
    return await mutate(api, "documentManifestPublish", f"rejected manifest {{ {MANIFEST} }}", **given)


async def publish(api: Api, *texts: str, client: str = "mobile", version: str = "1.0") -> str:
    """Publish documents under their hashes; returns the manifest's id."""
    payload = await published(api, flat(*texts), client=client, version=version)
    assert payload["errors"] == [], payload
    return str(payload["manifest"]["id"])


async def live(api: Api) -> list[Any]:
    """All manifests of the tenant."""
    found = await api.data(f"{{ documentManifests(first: 10) {{ nodes {{ {MANIFEST} }} }} }}")
    return list(found["documentManifests"]["nodes"])
