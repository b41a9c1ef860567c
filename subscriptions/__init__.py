"""What keeps coming: streams of events for one viewer, checked when they begin. Nothing stays open in the database while they wait."""
