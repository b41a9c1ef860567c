"""The embedded stack itself: what it starts answers, and what it stops is gone."""
