"""What is known and found again: the terms of texts, the blind index over them, their vectors, and search.

`words` takes texts apart, `terms` hashes what was found for the index, `vectors` turns by a secret what texts mean, `search` looks both
up and ranks, `highlights` shows where words stand.
"""
