"""Manifests, and documents by their ids."""
