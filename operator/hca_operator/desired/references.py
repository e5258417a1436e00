"""The ConfigMaps and Secrets that the pods of an object read, in variables and in files."""

from collections.abc import Iterator
from typing import NamedTuple

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.volumes import Volume

CONFIG_MAP, SECRET = "ConfigMap", "Secret"


class Reference(NamedTuple):
    """A ConfigMap or Secret in the object's own namespace."""

    kind: str
    name: str


def references(spec: HighConcurrencyApiSpec) -> dict[Reference, bool]:
    """Each of them, and whether the pods cannot start without it."""
    required: dict[Reference, bool] = {}
    for reference, optional in _uses(spec):
        required[reference] = required.get(reference, False) or not optional
    return required


def _uses(spec: HighConcurrencyApiSpec) -> Iterator[tuple[Reference, bool]]:
    for variable in spec.env:
        if source := variable.value_from:
            if source.config_map_key_ref:
                yield Reference(CONFIG_MAP, source.config_map_key_ref.name), bool(source.config_map_key_ref.optional)
            if source.secret_key_ref:
                yield Reference(SECRET, source.secret_key_ref.name), bool(source.secret_key_ref.optional)
    for all_keys in spec.env_from:
        if all_keys.config_map_ref:
            yield Reference(CONFIG_MAP, all_keys.config_map_ref.name), False
        if all_keys.secret_ref:
            yield Reference(SECRET, all_keys.secret_ref.name), False
    for volume in spec.volumes:
        yield from _files(volume)


def _files(volume: Volume) -> Iterator[tuple[Reference, bool]]:
    if volume.config_map:
        yield Reference(CONFIG_MAP, volume.config_map.name), bool(volume.config_map.optional)
    if volume.secret:
        yield Reference(SECRET, volume.secret.secret_name), bool(volume.secret.optional)
    for source in volume.projected.sources if volume.projected else ():
        if source.config_map:
            yield Reference(CONFIG_MAP, source.config_map.name), bool(source.config_map.optional)
        if source.secret:
            yield Reference(SECRET, source.secret.name), bool(source.secret.optional)
