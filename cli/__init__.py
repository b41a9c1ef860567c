"""The `penny` command: everything that a person or an orchestrator starts from a shell.

`main.py` knows the commands by name; each has a file of its own, imported when it is called. Nothing imports this folder.
"""
