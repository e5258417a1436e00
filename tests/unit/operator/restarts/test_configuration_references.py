"""Which ConfigMaps and Secrets of an object are followed, and what happens when one of them comes or goes."""

from typing import Any

import pytest

from hca_operator.core.names import CONFIG_ANNOTATION
from hca_operator.restarts.debounce import LONGEST_QUIET_SECONDS, QUIET_SECONDS
from tests.unit.operator.reconcile.passes import API, DEPLOYMENT, KEY, change, cluster_with
from tests.unit.operator.restarts.config_maps import (
    ENV_FROM,
    NO_RESTART,
    OPTIONAL,
    PASSWORD,
    ConfigMaps,
    Operator,
    rollouts,
    stamp,
    started,
    template,
)


async def test_another_reference_is_one_rollout() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["flags"] = "on"
    change(operator.cluster, **ENV_FROM, **OPTIONAL)
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1
    operator.maps.contents["flags"] = "off"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 2


async def test_without_references_the_pods_are_those_of_an_object_that_never_had_any() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert stamp(operator.cluster)
    change(operator.cluster)
    await operator.settle()
    never = await started()
    assert template(operator.cluster)["spec"] == template(never.cluster)["spec"]
    assert stamp(operator.cluster) is None
    assert CONFIG_ANNOTATION not in operator.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]
    assert KEY in operator.maps.forgotten


async def test_an_optional_one_that_appears_restarts_the_pods() -> None:
    operator = await started(**OPTIONAL)
    operator.maps.contents["flags"] = "on"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1


async def test_what_is_missing_heals_by_itself_when_it_appears() -> None:
    operator = Operator(cluster_with(**ENV_FROM), ConfigMaps(contents={}))
    await operator.settle()
    operator.maps.contents["settings"] = "level: info"
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 0, "the kubelet starts the pods that waited for it"
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1


@pytest.mark.parametrize(("content", "restarts"), [("level: info", 0), ("level: debug", 1)])
async def test_one_that_is_deleted_restarts_nothing_until_it_comes_back_as_another(content: str, restarts: int) -> None:
    operator = await started(**ENV_FROM)
    del operator.maps.contents["settings"]
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 0, "new pods could not start"
    operator.maps.contents["settings"] = content
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == restarts


async def test_where_the_app_reads_its_files_again_nothing_is_followed() -> None:
    operator = await started(**ENV_FROM, **NO_RESTART)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 0
    assert operator.maps.asked == []


async def test_switching_it_off_and_on_restarts_nothing() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    for fields in (NO_RESTART, {}):
        change(operator.cluster, **ENV_FROM, **fields)
        await operator.settle()
        await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1


SECRETS: dict[str, Any] = {"envFrom": [{"secretRef": {"name": name}} for name in ("d", "b", "a", "c", "e")]}


async def test_secrets_that_are_not_followed_are_reported_with_what_to_set() -> None:
    operator = await started(**SECRETS)
    (reported,) = operator.cluster.objects[API]["status"]["unsupported"]
    assert reported["field"] == "spec.rollout.restartOnConfigChange"
    assert "a change of Secret a, b, c and 2 more restarts no pods" in reported["reason"]
    assert "rbac.watchSecrets to true, or run kubectl rollout restart deployment/shop after" in reported["reason"]
    assert operator.maps.asked == []
    change(operator.cluster, **SECRETS, **NO_RESTART)
    await operator.settle()
    assert "unsupported" not in operator.cluster.objects[API]["status"]


async def test_where_secrets_are_followed_they_restart_pods_as_config_maps_do() -> None:
    operator = Operator(cluster_with(**ENV_FROM, env=[PASSWORD]), secrets=ConfigMaps({"db": "hunter2"}))
    await operator.settle()
    assert "unsupported" not in operator.cluster.objects[API]["status"]
    assert operator.secrets is not None
    operator.secrets.contents["db"] = "hunter3"
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1, "both changes together"


async def test_following_secrets_from_now_on_restarts_nothing() -> None:
    operator = await started(**ENV_FROM, env=[PASSWORD])
    operator.secrets = ConfigMaps({"db": "hunter2"})
    operator.restart()
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 0


async def test_an_object_that_is_gone_is_forgotten() -> None:
    operator = await started(**ENV_FROM)
    operator.cluster.remove(API, operator.cluster.objects[API]["metadata"]["uid"])
    await operator.settle()
    assert operator.maps.forgotten == [KEY]
