"""Samples from the pods themselves."""
