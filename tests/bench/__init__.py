"""The bench measures what it says that it measures."""
