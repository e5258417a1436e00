"""The objects with metrics, their ready pods, and where these expose metrics: from watches, with little memory.

Reading of metrics does not belong here: see `pods`, `ingress` and `prometheus`. Nor does the watch itself: see
`kube.informer`.
"""
