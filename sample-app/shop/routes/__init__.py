"""The routes, one module for each resource: from a request to a call of the domain, and from its result to JSON.

Handlers and the checks of their parameters belong here. SQL and rules of the shop do not: see `domain`.
"""
