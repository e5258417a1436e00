"""What a kubeconfig says: how to prove who one is, and where the API server is."""

import base64
import ssl
from pathlib import Path

import yaml

from dev.control_plane import HOST


def server_of(kubeconfig: Path) -> str:
    """Address of the API server."""
    return str(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])


def client_context(kubeconfig: Path) -> ssl.SSLContext:
    """TLS as the kubeconfig's user."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    pair = kubeconfig.with_suffix(".pem")
    pair.touch(mode=0o600)
    pair.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
    context.load_cert_chain(pair)
    return context


def redirected(kubeconfig: Path, port: int) -> Path:
    """The same user, through a port of this machine."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://{HOST}:{port}"
    path = kubeconfig.with_name(f"through-{port}.conf")
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path
