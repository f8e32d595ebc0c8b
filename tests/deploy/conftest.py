"""What deploy/ renders to."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

BASE = Path(__file__).parents[2] / "deploy" / "kustomize" / "base"


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    """The kustomize base."""
    if shutil.which("kubectl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kubectl: not on PATH")
        pytest.skip("kubectl: not on PATH")
    done = subprocess.run(
        ["kubectl", "kustomize", str(BASE)], capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))
