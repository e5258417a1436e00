"""The reference documents what the CRD defines."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from hca_operator.api.crd import crd
from hca_operator.api.reference import anchor, reference

SHOWN: dict[str, str] = {
    "bounds": "| `minReplicas` | integer, 1 to 1000 | `2` | Minimum number of pods. |",
    "required": "| `image` | string, at most 512 characters | **required** | Image of the API, "
    "such as registry.example.com/shop:1.4.2. The only required field. |",
    "choices": "| `type` | `ClusterIP` or `NodePort` or `LoadBalancer` | `ClusterIP` | "
    "ClusterIP: reachable within the cluster only. NodePort: on a port of every node too. "
    "LoadBalancer: by a load balancer of the cloud too. |",
    "default in a list": "| `pathType` | `Prefix` or `Exact` | | "
    "Prefix: path and everything below it. Exact: path alone. Default: Prefix. |",
    "duration": "| `terminationGracePeriod` | duration | `60s` | "
    "Time that a terminating pod has to leave the load balancer and finish its requests before it is killed. |",
    "list": "| [`env`](#specenv) | list of 0 to 128 objects, each with another `name` | | "
    "Environment variables of the container. Each name may occur once. |",
    "default of an object": '| [`resources`](#specresources) | object | `{"requests": {"cpu": "250m"}, '
    '"limits": {"cpu": "1", "memory": "512Mi"}}` | CPU and memory of each pod. |',
    "default that its own section shows": "| [`health`](#spechealth) | object | | "
    "Startup, readiness and liveness probes. |",
}


@pytest.mark.parametrize("row", SHOWN.values(), ids=SHOWN)
def test_a_field_is_shown_with_its_type_default_and_meaning(row: str) -> None:
    assert row in [re.sub(r"\|  \|", "| |", line) for line in reference().splitlines()]


def test_every_rule_is_documented_in_the_words_of_the_api_server() -> None:
    reported = reference()
    (version,) = crd()["spec"]["versions"]
    messages = list(_messages(version["schema"]["openAPIV3Schema"]))
    assert messages
    assert not [message for message in messages if message not in reported]


def test_a_description_says_what_each_value_of_an_enum_does() -> None:
    (version,) = crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    unexplained = {path: missing for path, missing in _unexplained(spec, "spec") if missing}
    assert unexplained == {}


def _unexplained(node: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if "enum" in node and not path.endswith("sysctls[].name"):  # the kernel's own names say what they are
        yield path, [value for value in node["enum"] if value not in node.get("description", "")]
    for name, child in node.get("properties", {}).items():
        yield from _unexplained(child, f"{path}.{name}")
    if "items" in node:
        yield from _unexplained(node["items"], f"{path}[]")


def _messages(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (rule["message"] for rule in node.get("x-kubernetes-validations", []))
        for child in node.values():
            yield from _messages(child)
    elif isinstance(node, list):
        for child in node:
            yield from _messages(child)


def test_every_section_can_be_linked_to() -> None:
    headings = re.findall(r"^#+ (.*)", reference(), re.MULTILINE)
    assert len({anchor(heading) for heading in headings}) == len(headings)
