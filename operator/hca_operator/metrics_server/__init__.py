"""The metrics server: external.metrics.k8s.io for autoscalers, a process of its own.

A sample travels one way through the rooms: `inventory` says which pods there are, `pods`, `ingress` and `prometheus`
read from them (at intervals, by `polling`), `samples` makes a number of what was read, and `serving` answers with it.
"""
