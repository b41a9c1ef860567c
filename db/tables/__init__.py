"""The tables as Piccolo sees them, for building queries; the migrations are what makes them.

A test compares every column here with the migrated database.
"""
