"""forescale: sizes GPU inference serving on Kubernetes to its latency SLO."""

from __future__ import annotations

__version__ = "0.1.0.dev0"
