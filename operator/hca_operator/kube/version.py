"""Which versions of Kubernetes the operator works with."""

import re
from typing import Final

from hca_operator.core.errors import CannotStart
from hca_operator.core.names import Manifest

OLDEST_KUBERNETES: Final = (1, 33)
"""The oldest minor version that is supported.

What the operator needs, and since when it is on by default: the `sleep` of preStop since 1.30; `quantity()` in the
CRD's rules since 1.28; `unhealthyPodEvictionPolicy` of disruption budgets and `matchLabelKeys` of topology spread since
1.27. The kubelet carries out the sleep, and kubelets may be three minor versions older than the API server: only from
1.33 on does every node do so, without which each rollout would lose requests.
"""


def refuse_older(version: Manifest) -> None:
    """Raise CannotStart if the answer of the API server at /version is too old.

    Providers write `33+` for 33. A build without a version is a developer's own and is accepted.
    """
    major, minor = (re.match(r"\d+", str(version.get(part, ""))) for part in ("major", "minor"))
    if major is None or minor is None or (int(major[0]), int(minor[0])) >= OLDEST_KUBERNETES:
        return
    oldest = ".".join(map(str, OLDEST_KUBERNETES))
    raise CannotStart(
        f"Kubernetes {major[0]}.{minor[0]} is too old for this operator, whose rollouts would lose requests on it: "
        f"upgrade the cluster to {oldest} or newer"
    )
