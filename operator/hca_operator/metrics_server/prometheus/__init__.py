"""Samples from Prometheus."""
