"""`python -m autoscaler` is `forescale`."""

from __future__ import annotations

import sys

from autoscaler.cli import main

sys.exit(main())
