"""What both processes serve and write about themselves: logs, probes, and metrics of requests to the API server.

The metrics of one process alone are with that process: `controller.metrics`, and the rooms of `metrics_server`.
"""
