"""Reads Envoy's statistics about the objects from the pods of the ingress controller."""
