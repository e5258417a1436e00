"""HTTP for one request: its id, its parameters and body within bounds, and the JSON of an error.

Functions that every route may use belong here. Products, metrics and settings do not: see `domain`, `observation` and
`configuration`.
"""
