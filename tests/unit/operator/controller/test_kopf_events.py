"""The settings under which kopf runs."""

from itertools import islice

from hca_operator.controller.kopf_events import operator_settings
from hca_operator.kube.informer import LONGEST_BACKOFF_SECONDS, EndlessBackoff


def test_kopf_only_watches() -> None:
    settings = operator_settings(clusterwide=True)
    assert not settings.posting.enabled
    assert settings.peering.standalone


def test_kopf_never_gives_up_a_watch() -> None:
    backoffs = operator_settings(clusterwide=True).networking.error_backoffs
    assert isinstance(backoffs, EndlessBackoff)
    waits = list(islice(backoffs, 200))
    assert len(waits) == 200
    assert max(waits) <= 1.2 * LONGEST_BACKOFF_SECONDS
