"""Reconciles HighConcurrencyApi objects into everything that a high-concurrency HTTP API needs on Kubernetes."""

__version__ = "0.1.0"
