"""The process of the operator: composition, work queue, kopf events, pollers and metrics.

What is done for one object does not belong here: see `reconcile`. Nor do requests to the API server and caches: see
`kube`. What the metrics server has as well: see `telemetry`.
"""
