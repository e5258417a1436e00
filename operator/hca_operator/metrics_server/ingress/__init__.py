"""Samples from the ingress controller."""
