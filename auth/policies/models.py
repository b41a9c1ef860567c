"""Who may see and change what of the tenant's models: pure functions over a viewer."""

from auth.viewers import Viewer


def can_read_models(viewer: Viewer) -> bool:
    """Whoever may see models sees all that the tenant could ask."""
    return viewer.may("models:read", "models:admin")


def can_administer_models(viewer: Viewer) -> bool:
    """Whoever keeps the tenant's models sees its endpoints, keys' ends and policies, and changes them."""
    return viewer.may("models:admin")
