"""Metrics, logs and traces: what can be seen of the app from outside.

The definition, collection and output of these belong here. A measurement that other code acts on does not: see
`overload` for the lag of the event loop.
"""
