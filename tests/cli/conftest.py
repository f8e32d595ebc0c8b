"""A journal that commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.recorded import surge_journal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return surge_journal(tmp_path)
