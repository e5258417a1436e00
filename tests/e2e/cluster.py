"""The local cluster as the e2e tests use it: kubectl and a few words for what they wait for."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """A running cluster with the operator in it."""

    kubectl_program: Path
    helm_program: Path
    kubeconfig: Path
    sample_image: str
    load_images: Callable[[Sequence[str]], None] = field(repr=False)
    """Puts images of the local Docker daemon, by their names, on every node."""
    install_operator: Callable[[], None] = field(repr=False)
    """Installs or upgrades the release that every test finds, as the working tree has it."""

    def run(self, *command: str | Path, stdin: str | None = None) -> str:
        """Output of a command; AssertionError with its error output where it fails."""
        done = subprocess.run(
            [str(part) for part in command], input=stdin, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
        return done.stdout

    @property
    def kubectl_command(self) -> tuple[str | Path, ...]:
        """How kubectl of this cluster is called."""
        return (self.kubectl_program, "--kubeconfig", self.kubeconfig)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Output of kubectl."""
        return self.run(*self.kubectl_command, *arguments, stdin=stdin)

    def helm(self, *arguments: str | Path) -> str:
        """Output of helm."""
        return self.run(self.helm_program, "--kubeconfig", self.kubeconfig, *arguments)

    def refused(self, manifest: str) -> str:
        """What the API server says to a manifest that it must refuse."""
        done = subprocess.run(
            [str(self.kubectl_program), "--kubeconfig", str(self.kubeconfig), "apply", "-f", "-"],
            input=manifest, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode != 0, f"accepted:\n{manifest}"
        return done.stderr

    def apply(self, manifest: str) -> None:
        """Apply a manifest."""
        self.kubectl("apply", "-f", "-", stdin=manifest)

    def patch(self, kind: str, name: str, change: Object) -> None:
        """Merge a change into an object."""
        self.kubectl("patch", kind, name, "--type=merge", "--patch", json.dumps(change))

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """An object."""
        found: Object = json.loads(self.kubectl("get", kind, name, "--namespace", namespace, "--output=json"))
        return found

    def objects(self, kind: str, selector: str, namespace: str = "default") -> list[Object]:
        """Objects that a label selector finds."""
        answer = self.kubectl("get", kind, "--selector", selector, "--namespace", namespace, "--output=json")
        items: list[Object] = json.loads(answer)["items"]
        return items

    def condition(self, kind: str, name: str, type_: str) -> Object:
        """A condition of an object; empty where it has none."""
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == type_), {})

    def wait_ready(self, name: str, seconds: int = 120) -> None:
        """Wait until an API's latest generation is rolled out."""
        self.kubectl("wait", "--for=condition=Ready", f"hcapi/{name}", f"--timeout={seconds}s")

    def until(self, holds: Callable[[], bool], what: str, *, seconds: float = 90) -> None:
        """Wait until something holds; fail with `what`, and what is there, if it never does."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() >= deadline:
                there = self.kubectl("get", "hcapi,hpa,pdb,pods", "--show-labels")
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{there}")
            time.sleep(1)  # kubectl takes a tenth of a CPU second, which the load and the pods need too

    def tag_image(self, image: str, tag: str) -> str:
        """The same image under another tag, on every node: a new version to roll out."""
        tagged = f"{image.rsplit(':', 1)[0]}:{tag}"
        self.run("docker", "tag", image, tagged)
        self.load_images([tagged])
        return tagged

    def derived_image(self, image: str, tag: str, instruction: str) -> str:
        """An image with one more Dockerfile instruction, on every node."""
        derived = f"{image.rsplit(':', 1)[0]}:{tag}"
        self.run("docker", "build", "--tag", derived, "-", stdin=f"FROM {image}\n{instruction}\n")
        self.load_images([derived])
        return derived

    def managed_fields(self, kind: str, name: str) -> list[Object]:
        """Who has written which fields of an object."""
        answer = self.kubectl("get", kind, name, "--output=json", "--show-managed-fields")
        entries: list[Object] = json.loads(answer)["metadata"]["managedFields"]
        return entries

    def restart_operator(self) -> None:
        """Replace the operator's pod, and wait until the new one watches."""
        self.kubectl("rollout", "restart", "deployment/hca-operator", "--namespace", "hca-system")
        self.kubectl("rollout", "status", "deployment/hca-operator", "--namespace", "hca-system", "--timeout=120s")
