"""Talks to instances: one Unix connection each, many calls in flight."""
