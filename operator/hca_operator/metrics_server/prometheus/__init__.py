"""Reads metrics of the pods, and the queries of objects, from Prometheus."""
