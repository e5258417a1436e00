"""Heap snapshots of a running worker, written by a forked child within bounds of memory, disk and time.

When a worker is replaced does not belong here: see `rules`.
"""
