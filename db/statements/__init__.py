"""Verbs over tables: each states its tenant beside the policy, and none decides who may."""
