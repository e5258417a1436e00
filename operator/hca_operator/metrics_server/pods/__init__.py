"""Reads the metrics of the pods of the objects, by HTTP."""
