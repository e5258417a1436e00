"""Samples of the metrics of pods, and the one value per object and metric that follows from them: pure.

Requests for samples do not belong here: see `pods`, `ingress` and `prometheus`. Nor does the form in which a value is
served: see `serving`.
"""
