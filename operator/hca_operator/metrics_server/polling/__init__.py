"""Runs one task for each item that is polled, at an interval, with limits to how many run at a time.

What is polled, and how, does not belong here: see `pods`, `ingress` and `prometheus`.
"""
