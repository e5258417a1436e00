"""Work that is taken away from requests: CPU-bound work to a thread or processes, many small writes to one.

Mechanisms belong here. They know neither HTTP nor the database.
"""
