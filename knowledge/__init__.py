"""What is known and found again: the terms of texts, the blind index over them, their vectors, and search.

`words` takes texts apart, `terms` hashes what was found for the index, `search` looks it up and ranks, `highlights` shows where it stands.
"""
