"""How changes are rolled out to the pods."""

from hca_operator.api.schema import SpecModel


class Rollout(SpecModel):
    """What starts a rolling update."""

    restart_on_config_change: bool = True
    """true: a rolling update starts when the data of a ConfigMap that the pods use changes, or of a Secret if the \
operator may read Secrets. false: for apps that read their mounted files again by themselves."""
