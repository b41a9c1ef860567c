"""Proofs about the database that enumerate its catalog, so that a new table is covered before anybody writes its test."""
