"""The settings under which kopf runs."""

from itertools import islice

import kopf
import pytest

from hca_operator.controller.kopf_events import IDLE_OBJECT_SECONDS, LISTED_AT_A_TIME, operator_settings
from hca_operator.kube.informer import LONGEST_WATCH_BACKOFF_SECONDS, EndlessBackoff


def test_kopf_only_watches() -> None:
    settings = operator_settings(clusterwide=True)
    assert not settings.posting.enabled
    assert settings.peering.standalone


def test_kopf_never_gives_up_a_watch() -> None:
    backoffs = operator_settings(clusterwide=True).networking.error_backoffs
    assert isinstance(backoffs, EndlessBackoff)
    waits = list(islice(backoffs, 200))
    assert len(waits) == 200
    assert max(waits) <= 1.2 * LONGEST_WATCH_BACKOFF_SECONDS


@pytest.mark.parametrize("written", ["{", "5", "[" * 50_000])
def test_kopf_reads_nothing_that_a_user_may_have_written_into_its_annotations(written: str) -> None:
    storage = operator_settings(clusterwide=True).persistence.diffbase_storage
    annotations = {"kopf.zalando.org/last-handled-configuration": written}
    body = kopf.Body({"metadata": {"annotations": annotations}, "spec": {}})
    assert storage.fetch(body=body) is None
    assert storage.build(body=body) == {}


def test_kopf_holds_few_objects_in_memory_at_a_time() -> None:
    settings = operator_settings(clusterwide=True)
    assert settings.watching.chunk_size == LISTED_AT_A_TIME
    assert settings.queueing.idle_timeout == IDLE_OBJECT_SECONDS
