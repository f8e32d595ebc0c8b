"""The container image without a container engine: the Dockerfile's own steps, run in a Debian root, and their weight.

Needs root, debootstrap and a network. `FROM debian:bookworm-slim` becomes debootstrap's minbase without documentation,
as Debian's slim images are made. Steps are lent the machine's own pip and apt configuration while they run.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.bench.report import Figure, report

ROOT = Path(__file__).parents[2]
BASES = {"debian:bookworm-slim": "bookworm"}
MIRROR = "http://deb.debian.org/debian"
# As in Debian's slim images.
SLIM = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian")
LENT = ("etc/pip.conf", "etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt")
LENT_FOLDERS = ("etc/apt/apt.conf.d",)
UNPACKED_MB, COMPRESSED_MB = 500.0, 200.0
MB = 1e6


@dataclass
class Stage:
    """One FROM of a Dockerfile, and the steps after it."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str:
        """The argument of the last step of this kind."""
        return next(text for step, text in reversed(self.steps) if step == instruction)


def stages(text: str) -> list[Stage]:
    """The Dockerfile as stages of (instruction, argument)."""
    found: list[Stage] = []
    for line in _logical_lines(text):
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            base, *alias = argument.split(" AS ")
            found.append(Stage(base=base, name=alias[0] if alias else str(len(found))))
        else:
            found[-1].steps.append((instruction, argument))
    return found


def _logical_lines(text: str) -> Iterator[str]:
    kept = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        kept += line.removesuffix("\\").strip() + " "
        if not line.endswith("\\"):
            yield kept.strip()
            kept = ""


def _variables(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in shlex.split(text))
    return {name: value for name, _, value in pairs}


class Builder:
    """Runs stages in roots of their own."""

    def __init__(self, folder: Path, context: Path) -> None:
        self._folder, self._context = folder, context
        self._roots: dict[str, Path] = {}

    def build(self, stage: Stage) -> Path:
        """The stage's root."""
        root = self._folder / stage.name
        # cp, since it copies devices as devices: reading /dev/full does not end.
        _run(["cp", "--archive", str(self._base(stage.base)), str(root)])
        self._roots[stage.name] = root
        environment, directory = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, "/"
        for instruction, argument in stage.steps:
            print(f"  {instruction} {argument}", flush=True)
            if instruction == "ENV":
                environment.update(_variables(argument))
            elif instruction == "WORKDIR":
                directory = argument
                (root / argument.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif instruction == "COPY":
                self._copy(root, directory, shlex.split(argument))
            elif instruction == "RUN":
                with _lent(root):
                    _chroot(root, argument, environment, directory)
        for name in SLIM:
            shutil.rmtree(root / name, ignore_errors=True)
        return root

    def _base(self, image: str) -> Path:
        base = self._folder / f"base-{BASES[image]}"
        if not base.exists():
            print(f"  FROM {image}: debootstrap {BASES[image]}", flush=True)
            _run(["debootstrap", "--variant=minbase", BASES[image], str(base), MIRROR])
            for package in (base / "var" / "cache" / "apt" / "archives").glob("*.deb"):
                package.unlink()
            shutil.rmtree(base / "var" / "lib" / "apt" / "lists", ignore_errors=True)
        return base

    def _copy(self, root: Path, directory: str, words: list[str]) -> None:
        source = self._context
        if words[0].startswith("--from="):
            source = self._roots[words.pop(0).removeprefix("--from=")]
        *names, target = words
        into = root / directory.lstrip("/") / target.lstrip("/")
        if target.startswith("/"):
            into = root / target.lstrip("/")
        for name in names:
            given = source / name.lstrip("/")
            if given.is_dir():
                into.mkdir(parents=True, exist_ok=True)
                _run(["cp", "--archive", f"{given}/.", str(into)])
                if source == self._context:  # .dockerignore keeps its bytecode out
                    for cache in list(into.rglob("__pycache__")):
                        shutil.rmtree(cache)
            else:
                shutil.copy2(given, into / given.name if into.is_dir() else into)


class _lent:
    """The machine's own configuration of pip and apt, for as long as a step runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._put: list[Path] = []

    def __enter__(self) -> None:
        files = [Path("/") / name for name in LENT]
        files += [f for folder in LENT_FOLDERS for f in (Path("/") / folder).glob("*")]
        for file in files:
            target = self._root / file.relative_to("/")
            if file.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
                self._put.append(target)

    def __exit__(self, *_: object) -> None:
        for target in self._put:
            target.unlink(missing_ok=True)


def _chroot(
    root: Path, command: str, environment: Mapping[str, str], directory: str, user: str = "0:0"
) -> str:
    lent = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k == "SSL_CERT_FILE"}
    pairs = [f"{key}={value}" for key, value in {**lent, **environment}.items()]
    script = f"cd {shlex.quote(directory)} && {command}"
    enter = ["chroot", f"--userspec={user}", str(root), "/usr/bin/env", "-i"]
    return _run([*enter, *pairs, "DEBIAN_FRONTEND=noninteractive", "sh", "-c", script])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def _unpacked_mb(root: Path) -> float:
    return float(_run(["du", "-s", "--apparent-size", "--block-size=1", str(root)]).split()[0]) / MB


def _compressed_mb(root: Path) -> float:
    """As a registry keeps it: a gzipped tar."""
    pipe = f"tar -C {shlex.quote(str(root))} -c . | gzip -6 | wc -c"
    return float(_run(["sh", "-c", pipe])) / MB


def weigh(stage: Stage, root: Path) -> list[Figure]:
    """Starts the program as the image's user, and weighs the root."""
    environment = _variables(stage.last("ENV"))
    user = stage.last("USER")
    version = _chroot(root, "forescale --version", environment, "/", user).strip()
    # Folders that it may not even look into are no concern.
    find = "find /opt /usr /etc /var/lib -xdev -writable -not -type l 2>/dev/null || true"
    writable = _chroot(root, find, environment, "/", user).splitlines()
    return [
        Figure(
            name="unpacked",
            value=round(_unpacked_mb(root), 1),
            unit="MB",
            target=UNPACKED_MB,
            note=f"answers {version} as {user}",
        ),
        Figure(
            name="compressed",
            value=round(_compressed_mb(root), 1),
            unit="MB",
            target=COMPRESSED_MB,
            note="gzip -6, all layers as one",
        ),
        Figure(
            name="python environment",
            value=round(_unpacked_mb(root / "opt" / "forescale"), 1),
            unit="MB",
            note="of it /opt/forescale, bytecode included",
        ),
        Figure(
            name="files its user may write",
            value=float(len(writable)),
            unit="files",
            target=0.0,
            note=" ".join(writable[:3]),
        ),
    ]


def main() -> int:
    """Builds, tries and weighs the image."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("bench-image: needs root and debootstrap (Debian: apt-get install debootstrap)")
        return 0  # a figure that can't be taken is absent
    with tempfile.TemporaryDirectory(prefix="forescale-image-") as folder:
        builder = Builder(Path(folder), ROOT)
        built = [
            (stage, builder.build(stage)) for stage in stages((ROOT / "Dockerfile").read_text())
        ]
        report("image", weigh(*built[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
