"""Who may, then who does: each resolver checks the viewer, opens the tenant's scope, calls the works, returns rows."""
