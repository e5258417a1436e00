"""How a change reaches the pods."""

from hca_operator.api.schema import SpecModel


class Rollout(SpecModel):
    """What starts a rolling update."""

    restart_on_config_change: bool = True
    """Whether the pods are replaced, one after the other, when the data of a ConfigMap that they use \
changes, or of a Secret where the install may read them. false: for an app that reads its mounted files again by itself.
"""
