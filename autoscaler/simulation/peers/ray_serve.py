"""Ray Serve's default policy: ongoing requests over a target for each replica, and delays before it acts.

Source: docs.ray.io/en/latest/serve/advanced-guides/advanced-autoscaling. Ongoing requests averaged over 30 s, target 2;
more replicas when more have been wanted for 30 s on end, fewer after 600 s. Its loop of 0.1 s is taken as 5 s.
"""

from __future__ import annotations

import math
from typing import Any

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.peers.rule import (
    HEADROOM,
    MAX,
    MIN,
    ONGOING_S,
    SECONDS,
    Rule,
    geometric,
)

LOOK_BACK_S = 30.0
UPSCALE_DELAY_S = 30.0
DOWNSCALE_DELAY_S = 600.0
# Places in its memory: since when more, or fewer, have been wanted on end; 0: they are not.
_MORE_S, _FEWER_S = 0, 1


@compilable
def delayed(now_s: Any, replicas: Any, wanted: Any, memory: Any) -> Any:
    """What is wanted, once it has been wanted in that direction for long enough."""
    if wanted <= replicas:
        memory[_MORE_S] = 0.0
    elif memory[_MORE_S] == 0.0:
        memory[_MORE_S] = now_s
    if wanted >= replicas:
        memory[_FEWER_S] = 0.0
    elif memory[_FEWER_S] == 0.0:
        memory[_FEWER_S] = now_s
    if memory[_MORE_S] > 0.0 and now_s - memory[_MORE_S] >= UPSCALE_DELAY_S - 1e-6:
        memory[_MORE_S] = 0.0
        return wanted
    if memory[_FEWER_S] > 0.0 and now_s - memory[_FEWER_S] >= DOWNSCALE_DELAY_S - 1e-6:
        memory[_FEWER_S] = 0.0
        return wanted
    return replicas


@compilable
def _ongoing(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    if slow[SECONDS] <= 0.0:
        return replicas
    ongoing = slow[ONGOING_S] / slow[SECONDS]
    wanted = int(math.ceil(ongoing / settings[HEADROOM] - 1e-9))
    wanted = min(max(wanted, int(settings[MIN])), int(settings[MAX]))
    return delayed(now_s, replicas, wanted, memory)


RAY_SERVE = Rule(
    name="Ray Serve",
    decide=_ongoing,
    period_s=5.0,
    scrape_s=5.0,
    slow_s=LOOK_BACK_S,
    fast_s=LOOK_BACK_S,
    memory=2,
    headroom="ongoing requests of a replica",
    default=2.0,
    sweep=geometric(0.05, 12.0),
    sources="docs.ray.io/en/latest/serve/advanced-guides/advanced-autoscaling",
)
