"""Floors under the number of pods, and which metrics work in this install. Pure.

The autoscaler itself is built in desired/; what reads the load is in controller/.
"""
