"""Migrations: one purpose each, lock timeout first, forwards and backwards, run by Piccolo under an advisory lock."""
