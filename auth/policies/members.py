"""Who may do what with members, roles and their sessions: pure functions over a viewer and a row."""

from collections.abc import Iterable, Mapping
from typing import Any

from auth.viewers import Viewer


def has_all(viewer: Viewer, scopes: Iterable[str]) -> bool:
    """Whether the viewer may do everything that these scopes allow."""
    return viewer.scopes.issuperset(scopes)


def can_grant(viewer: Viewer, scopes: Iterable[str]) -> bool:
    """Nobody gives a role, or defines one, that allows more than they may themselves."""
    return viewer.may("members:admin") and has_all(viewer, scopes)


def can_change_member(viewer: Viewer, target_scopes: Iterable[str]) -> bool:
    """Nobody changes somebody who may do more than they."""
    return viewer.may("members:admin") and has_all(viewer, target_scopes)


def can_remove_member(viewer: Viewer, membership: Mapping[str, Any]) -> bool:
    """Everybody may leave; the row has its role's `scopes`."""
    return _is_self(viewer, membership) or can_change_member(viewer, membership["scopes"])


def can_end_session(viewer: Viewer, session: Mapping[str, Any]) -> bool:
    """Everybody may end their own sessions; the row has its owner's `scopes`."""
    return _is_self(viewer, session) or can_change_member(viewer, session["scopes"])


def _is_self(viewer: Viewer, row: Mapping[str, Any]) -> bool:
    """Whether the row is the person's who is here; an API key speaks for somebody, but it is not them."""
    return viewer.session_id is not None and row["user_id"] == viewer.user_id
