"""HTTP for one request: its id, its parameters and body within bounds, and the JSON of an error.

Functions that every route may use belong here. They know no product, no metric and no setting.
"""
