"""Reads metrics of the pods, and the queries of objects, from Prometheus.

Whether the query of an object is allowed does not belong here: see `api.promql`. Nor does what is computed from the
numbers of the pods: see `samples`.
"""
