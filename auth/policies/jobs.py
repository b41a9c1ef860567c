"""Who may do what with a job: pure functions over a viewer and the job's row."""

from collections.abc import Mapping
from typing import Any

from auth.viewers import Viewer


def can_see_job(viewer: Viewer, job: Mapping[str, Any]) -> bool:
    """Whoever began a job sees it, and so does whoever administers the tenant."""
    return job["created_by"] == viewer.user_id or viewer.may("tenant:admin")


def can_cancel_job(viewer: Viewer, job: Mapping[str, Any]) -> bool:
    """What nobody began is PENNY's own work, which others rely on: it is seen by administrators and cancelled by nobody."""
    return job["created_by"] is not None and can_see_job(viewer, job)
