"""What only a person may do, not a key that speaks for one: pure functions over a viewer."""

from auth.viewers import Viewer


def can_manage_account(viewer: Viewer) -> bool:
    """Passwords, profiles and memberships follow a person through all tenants, so an API key of one tenant has no say in them."""
    return viewer.session_id is not None
