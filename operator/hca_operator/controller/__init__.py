"""The process of the operator: composition, work queue, kopf events, pollers and metrics."""
