"""Who may see and change what of the tenant's models: pure functions over a viewer."""

from collections.abc import Mapping
from typing import Any

from auth.viewers import Viewer


def can_read_models(viewer: Viewer) -> bool:
    """Whoever may see models sees all that the tenant could ask."""
    return viewer.may("models:read", "models:admin")


def can_administer_models(viewer: Viewer) -> bool:
    """Whoever keeps the tenant's models sees its endpoints, keys' ends and policies, and changes them."""
    return viewer.may("models:admin")


def can_keep_credential(viewer: Viewer, owner: str) -> bool:
    """Whoever keeps the tenant's models keeps its keys; everybody with `models:write` keeps their own."""
    return viewer.may("models:admin") if owner == "TENANT" else viewer.may("models:write", "models:admin")


def can_see_credential(viewer: Viewer, credential: Mapping[str, Any]) -> bool:
    """One's own, and for whoever keeps the tenant's models the tenant's: another member's keys are nobody else's business."""
    if credential["user_id"] is None:
        return can_administer_models(viewer)
    own: bool = credential["user_id"] == viewer.user_id
    return own and viewer.may("models:write", "models:admin")
