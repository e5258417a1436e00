"""Metrics of every process: its release, and its use of CPU, memory and file descriptors."""

from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector

from hca_operator import __version__


def observe_process(registry: CollectorRegistry) -> None:
    """Export hca_build_info, process_* and python_*."""
    Info("hca_build", "Release of the operator.", registry=registry).info({"version": __version__})
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
