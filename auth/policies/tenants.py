"""Who may see what of the tenant itself: pure functions over a viewer."""

from auth.viewers import Viewer


def can_see_settings(viewer: Viewer) -> bool:
    """Whoever may read the tenant's settings sees how its content is kept too."""
    return viewer.may("tenant:read", "tenant:admin")
