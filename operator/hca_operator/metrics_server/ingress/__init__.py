"""Reads what Envoy counts for the objects, from the pods of the ingress controller."""
