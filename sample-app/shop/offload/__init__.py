"""Work that is taken away from requests: CPU-bound work to a thread or processes, many small writes to one.

Mechanisms belong here. HTTP and the database, which use them, do not: see `routes` and `domain`.
"""
