"""The API server: client, watches, caches, leader election. Also bounded HTTP requests to pods, and `faults`.

What is written does not belong here: see `desired` for manifests, `reconcile` for the order. Nor does what an event
leads to, or kopf's watch of the objects: see `controller`. What a pod's answer means: see `metrics_server`.
"""
