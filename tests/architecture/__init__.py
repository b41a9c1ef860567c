"""Rules of the house that no linter knows, read from the sources and from the built schema."""
