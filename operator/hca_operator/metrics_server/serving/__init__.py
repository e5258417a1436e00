"""Serves external.metrics.k8s.io over TLS, from memory, and registers it with kube-apiserver."""
