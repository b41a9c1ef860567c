"""Tables, statements, tenant scopes, row-level policies and migrations.

Isolation is the database's: every row carries its tenant, every statement runs in a scope that names one. Statements are
verbs over tables and hold no policy.
"""
