"""Floors under the number of pods, and which metrics work in this install. Pure.

The HorizontalPodAutoscaler itself is built in desired/; the poller that reads the load is in controller/.
"""
