"""Reads the metrics of the pods of the objects, by HTTP.

Parsing of their text does not belong here: see `samples`. Nor do the bounds of a connection: see `kube.pod_http`. How
many pods are read at a time: see `polling`.
"""
