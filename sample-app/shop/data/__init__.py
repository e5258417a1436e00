"""Access to stored data: PostgreSQL, SQLite, and the cache in memory and in Redis.

Connections, pools, retries, time limits and lifetimes belong here. Tables and statements do not: see `domain`.
"""
