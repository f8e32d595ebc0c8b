"""Where the stack's programs come from: found, else built from Go modules, wheels or Debian packages into a cache.

Kubernetes and etcd are built from the modules that tools/*/go.mod pins; the cache's folder is named after the digest of
go.sum, so that another pin is another folder. Triton comes out of the nvidia-pytriton wheel, in a virtual environment
of its own because it asks for numpy < 2, and so does KServe's model server, which brings 70 packages (450 MB) that
nothing else here needs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.stack.errors import ToolMissing

HERE = Path(__file__).parent
KUBERNETES_VERSION = "v1.35.4"
PYTRITON = "nvidia-pytriton==0.7.0"
KSERVE = "kserve==0.21.0"
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Triton:
    """A real tritonserver and what it must be started with."""

    binary: Path
    backends: Path
    library_path: str
    site_packages: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Karpenter:
    """Karpenter with its kwok provider, and the custom resources that it needs."""

    binary: Path
    crds: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """Paths of every program of the stack."""

    etcd: Path
    apiserver: Path
    controller_manager: Path
    scheduler: Path
    kubectl: Path
    prometheus: Path
    triton: Triton


def cache_dir() -> Path:
    """`$FORESCALE_CACHE`, else `~/.cache/forescale`."""
    return Path(os.environ.get("FORESCALE_CACHE") or Path.home() / ".cache" / "forescale")


def find_or_make(say: Say) -> Toolbox:
    """All programs of the stack; what is missing is built or installed, with a line on each step.

    Raises ToolMissing naming the first program that can't be had and what to do.
    """
    kubernetes = {
        name: _go_program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", say)
        for name in KUBERNETES
    }
    return Toolbox(
        etcd=_go_program("etcd", "etcd", "go.etcd.io/etcd/server/v3", say),
        apiserver=kubernetes["kube-apiserver"],
        controller_manager=kubernetes["kube-controller-manager"],
        scheduler=kubernetes["kube-scheduler"],
        kubectl=_kubectl(say),
        prometheus=debian_program("prometheus", say),
        triton=find_triton(say),
    )


def find_helm(say: Say) -> Path:
    """For the chart's tests; not a part of the stack. Raises ToolMissing."""
    return _go_program("helm", "helm", "helm.sh/helm/v3/cmd/helm", say)


def find_karpenter(say: Say) -> Karpenter:
    """Built from our own main.go around the module's provider, so none on PATH will do. Raises ToolMissing."""
    binary = _built("karpenter", "karpenter", ".", say)
    crds = binary.parent / "crds"
    if not crds.is_dir():
        source = HERE / "tools" / "karpenter"
        listed = subprocess.run(
            [_go("karpenter"), "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/karpenter"],
            cwd=source,
            capture_output=True,
            text=True,
            check=False,
        )
        if listed.returncode != 0:
            raise ToolMissing(f"karpenter: go list failed:\n{listed.stderr[-1000:]}")
        module, partial = Path(listed.stdout.strip()) / "kwok", binary.parent / "crds.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for folder in (module / "charts" / "crds", module / "apis" / "crds"):
            for file in folder.glob("*.yaml"):
                # The module cache is read-only; the copy is ours to remove.
                (partial / file.name).write_bytes(file.read_bytes())
        partial.rename(crds)
    return Karpenter(binary=binary, crds=crds)


def _found(name: str) -> Path | None:
    """As envtest does: KUBEBUILDER_ASSETS first, then PATH."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (Path(assets) / name).is_file():
        return Path(assets) / name
    on_path = shutil.which(name)
    return Path(on_path) if on_path else None


def _go_program(name: str, module: str, package: str, say: Say) -> Path:
    found = _found(name)
    if found is not None:
        say(f"{name}: {found}")
        return found
    return _built(name, module, package, say)


def _go(name: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise ToolMissing(
            f"{name}: not on PATH nor in KUBEBUILDER_ASSETS, and Go to build it is missing; "
            "install Go 1.25 or newer, or put the binary on PATH"
        )
    return go


def _built(name: str, module: str, package: str, say: Say) -> Path:
    source = HERE / "tools" / module
    pinned = (source / "go.sum").read_bytes()
    if package == ".":
        pinned += (source / "main.go").read_bytes()
    digest = hashlib.sha256(pinned).hexdigest()[:12]
    target = cache_dir() / "bin" / f"{module}-{digest}" / name
    if target.is_file():
        return target
    go = _go(name)
    say(f"{name}: building from {module}'s module (minutes the first time) ...")
    started_s = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = "-s -w"
    if module == "kubernetes":
        flags += f" -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"
    partial = target.with_suffix(".partial")
    command = [
        go,
        "build",
        "-trimpath",
        "-mod=readonly",
        "-ldflags",
        flags,
        "-o",
        str(partial),
        package,
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolMissing(f"{name}: go build failed:\n{done.stderr[-2000:]}")
    partial.rename(target)
    say(f"{name}: built in {time.monotonic() - started_s:.0f} s")
    return target


def _kubectl(say: Say) -> Path:
    found = _found("kubectl")
    if found is not None:
        return found
    return _go_program("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", say)


def debian_program(name: str, say: Say) -> Path:
    """A program from PATH, else from Debian's package of the same name where this user may install one."""
    found = _found(name)
    if found is not None:
        return found
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise ToolMissing(f"{name}: not on PATH; install it (Debian: apt-get install {name})")
    say(f"{name}: installing Debian's package ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        [apt, "update", "-qq"],
        [apt, "install", "-y", "-qq", "--no-install-recommends", name],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ToolMissing(f"{name}: {' '.join(command)} failed:\n{done.stderr[-1000:]}")
    found = _found(name)
    if found is None:
        raise ToolMissing(
            f"{name}: Debian's package is installed and brings no program of that name"
        )
    return found


def find_triton(say: Say) -> Triton:
    """Triton from the wheel, installed into the cache where it is not there yet."""
    venv = _installed(
        "triton",
        PYTRITON,
        "numpy<2",
        why="it needs Linux on x86-64",
        finish=_backend,
        say=say,
    )
    site = _site_packages(venv)
    libraries = [str(site / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    return Triton(
        binary=site / "pytriton" / "tritonserver" / "bin" / "tritonserver",
        backends=venv / "backends",
        library_path=":".join(libraries),
        site_packages=site,
    )


def find_kserve(say: Say) -> Path:
    """The Python that has KServe's model server; only services of KServe's need it. Raises ToolMissing."""
    venv = _installed("kserve", KSERVE, why="it needs PyPI", finish=lambda _: None, say=say)
    return venv / "bin" / "python"


def _installed(
    name: str,
    *packages: str,
    why: str,
    finish: Callable[[Path], None],
    say: Say,
) -> Path:
    """A virtual environment in the cache, made anew unless it was finished before."""
    version = packages[0].split("==")[1]
    venv = cache_dir() / f"{name}-{version}-py{sys.version_info[0]}{sys.version_info[1]}"
    ready = venv / ".ready"
    if ready.is_file():
        return venv
    say(f"{name}: installing {packages[0]} into the cache ...")
    shutil.rmtree(venv, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(venv)], f"{name}: python3 -m venv failed")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    _run(
        [*pip, "install", "--quiet", *packages], f"{name}: {packages[0]} can't be installed ({why})"
    )
    finish(venv)
    ready.touch()
    return venv


def _site_packages(venv: Path) -> Path:
    return venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _backend(venv: Path) -> None:
    """The wheel keeps one stub for each Python version; Triton wants one, beside the backend."""
    server = _site_packages(venv) / "pytriton" / "tritonserver"
    backend = venv / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    stub = f"{sys.version_info[0]}.{sys.version_info[1]}"
    shutil.copy(server / "python_backend_stubs" / stub / "triton_python_backend_stub", backend)
    (server / "bin" / "tritonserver").chmod(0o755)


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolMissing(f"{failure}:\n{done.stderr[-1000:]}")
