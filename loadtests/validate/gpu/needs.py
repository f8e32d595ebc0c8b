"""What the machine lacks for a measurement on its GPU, in words."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

# In a process of its own: PyTorch takes seconds and half a gigabyte to import, and the load is sent from here.
_PROBE = """
import json, os, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "torch": torch.__version__,
    "site_packages": os.path.dirname(os.path.dirname(torch.__file__)),
    "gpu": torch.cuda.get_device_name(0) if cuda else None,
}))
"""
PROBE_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is. None: it is not there."""

    system: str
    """Such as `Linux x86_64`."""
    python: str
    torch: str | None = None
    """PyTorch's version."""
    site_packages: str | None = None
    """Where it is installed."""
    gpu: str | None = None
    """What PyTorch finds."""
    nvidia_smi: str | None = None


def look() -> Machine:
    """Asks the Python that runs this."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        capture_output=True,
        text=True,
        check=False,
        timeout=PROBE_TIMEOUT_S,
    )
    found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=sys.executable,
        nvidia_smi=shutil.which("nvidia-smi"),
        **found,
    )


def missing(machine: Machine, device: str) -> tuple[str, ...]:
    """A sentence for each thing that `device`, `cuda` or `cpu`, would need; empty: nothing is missing."""
    lacks = []
    if machine.system != "Linux x86_64":
        lacks.append(f"Triton's wheel is for Linux x86_64, this is {machine.system}")
    if machine.torch is None:
        lacks.append(
            f"PyTorch: {machine.python} can't import it; install it there: "
            f"{machine.python} -m pip install torch"
        )
    if device == "cuda" and machine.nvidia_smi is None:
        lacks.append("an NVIDIA GPU: nvidia-smi is not on PATH; --device cpu tries all but the GPU")
    elif device == "cuda" and machine.torch is not None and machine.gpu is None:
        lacks.append(
            f"a GPU that PyTorch {machine.torch} can use: torch.cuda.is_available() is False; "
            "see nvidia-smi for the driver, and install a PyTorch built for its CUDA version"
        )
    return tuple(lacks)
