"""How each part of the control plane is started: flags, certificates, tokens. Everything listens on loopback."""

from __future__ import annotations

import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.stack.errors import StackError
from loadtests.stack.toolbox import Toolbox

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where everything listens, all on 127.0.0.1. Fixed, so that commands can be copied from the README."""

    etcd: int = 12379
    etcd_peer: int = 12380
    apiserver: int = 16443
    prometheus: int = 19090
    agent: int = 18080

    def all(self) -> dict[str, int]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


def write_secrets(folder: Path) -> str:
    """Keys for service account tokens and the administrator's token, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "sa.key"
    if not key.exists():
        command = ["openssl", "genrsa", "-out", str(key), "2048"]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise StackError(f"openssl: can't make a key ({error}); install openssl") from error
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    (folder / "tokens.csv").chmod(0o600)
    return token


def kubeconfig(path: Path, *, server: str, ca: Path, token: str, user: str) -> Path:
    """Writes a kubeconfig with a bearer token."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "stack", "cluster": {"server": server, "certificate-authority": str(ca)}}
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "stack", "context": {"cluster": "stack", "user": user}}],
        "current-context": "stack",
    }
    path.write_text(json.dumps(content, indent=1))
    path.chmod(0o600)
    return path


def etcd(tools: Toolbox, ports: Ports, data: Path) -> list[str]:
    """One member, without fsync: nothing here has to survive a power cut."""
    client, peer = f"http://{HOST}:{ports.etcd}", f"http://{HOST}:{ports.etcd_peer}"
    return [
        str(tools.etcd),
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(tools: Toolbox, ports: Ports, folder: Path) -> list[str]:
    """RBAC is on, so that the product's own rights are what is tested."""
    return [
        str(tools.apiserver),
        f"--etcd-servers=http://{HOST}:{ports.etcd}",
        f"--secure-port={ports.apiserver}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--cert-dir={folder / 'certs'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'sa.key'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--allow-privileged=true",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
    ]


def controller_manager(tools: Toolbox, kubeconfig_path: Path, folder: Path) -> list[str]:
    """With the real ReplicaSet, Deployment, garbage collection and HPA controllers."""
    return [
        str(tools.controller_manager),
        f"--kubeconfig={kubeconfig_path}",
        "--leader-elect=false",
        "--secure-port=0",
        "--controllers=*,-nodeipam,-route,-service",
        f"--service-account-private-key-file={folder / 'sa.key'}",
    ]


def scheduler(tools: Toolbox, kubeconfig_path: Path) -> list[str]:
    """The real scheduler."""
    return [
        str(tools.scheduler),
        f"--kubeconfig={kubeconfig_path}",
        "--leader-elect=false",
        "--secure-port=0",
    ]


def prometheus(tools: Toolbox, ports: Ports, folder: Path) -> list[str]:
    """Scrapes what the agent names over http_sd: Debian's build knows no Kubernetes."""
    config = folder / "prometheus.yaml"
    discovery = f"http://{HOST}:{ports.agent}/sd"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "5s", "scrape_timeout": "4s"},
                "scrape_configs": [
                    {
                        "job_name": job,
                        "http_sd_configs": [
                            {"url": f"{discovery}/{job}", "refresh_interval": "2s"}
                        ],
                    }
                    for job in ("servers", "dcgm")
                ],
            },
            indent=1,
        )
    )
    return [
        str(tools.prometheus),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={HOST}:{ports.prometheus}",
        # Longer than any past that a run is given.
        "--storage.tsdb.retention.time=30d",
        "--log.level=warn",
    ]
