"""Reads Envoy's statistics about the objects from the pods of the ingress controller.

The value of an object's metric does not belong here: see `samples`. Metrics that the API's own pods expose: see `pods`.
"""
