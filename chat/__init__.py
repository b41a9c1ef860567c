"""One run of a conversation, from the question to the saved answer.

A run is a row and a log, never a coroutine in a socket: a worker makes it, readers follow its log, and the saved message
says the same.
"""
