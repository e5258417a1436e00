"""Serves external.metrics.k8s.io over TLS, from memory, and registers it with kube-apiserver.

The computing of values does not belong here: see `samples`. Nor do the listener, probes and metrics that the operator
has as well: see `telemetry`.
"""
