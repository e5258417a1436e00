"""The operating system's side of a process: shared memory for heartbeats, resident memory, limits.

Reading /proc and cgroups and setting limits belong here. Decisions that follow from the numbers do not: see `rules`.
"""
