"""The metrics server: serves external.metrics.k8s.io to HorizontalPodAutoscalers, in a process of its own.

Data flows one way: `inventory` watches objects and pods; `pods`, `ingress` and `prometheus` read metrics (at intervals,
by `polling`); `samples` computes one number per object and metric; `serving` answers requests with it.

The table of the metrics does not belong here: see `api.metric_types`. Nor does what follows from a value: see `desired`
for the HorizontalPodAutoscaler, `scaling` for bursts and fallbacks.
"""
