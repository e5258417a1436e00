"""Logs, probes and metrics that the operator and the metrics server have in common.

The metrics of only one process are with that process: `controller.metrics`, and the folders of `metrics_server`.
"""
