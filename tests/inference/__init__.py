"""Promises of the models: providers, wires, embeddings."""
