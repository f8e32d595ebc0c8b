"""What the engine remembers between ticks: soft state, checkpointed, taken over by the next leader.

Losing it loses patience, not safety: a workload without state is not scaled down until a stabilisation window has
passed.
"""

from __future__ import annotations

from dataclasses import field

from autoscaler.core.behavior import Recommended, ScaleEvent
from autoscaler.core.computed import computed
from autoscaler.core.demand import Growth
from autoscaler.core.lead_time import LeadTimes
from autoscaler.core.nodes.state import NodesState
from autoscaler.core.rehearsal import Rehearsal
from autoscaler.core.sequences import Sequences
from autoscaler.core.service_time import ServiceEvidence
from autoscaler.core.sickness import PodHealth
from autoscaler.core.signals import PodTrack
from autoscaler.core.slices.state import SlicesState
from autoscaler.core.types import BatchTime, DemandForecast, WorkloadId
from autoscaler.core.variability import Variability

STATE_VERSION = 1


@computed
class ModelKnowledge:
    """What was learned of one model on one pod template."""

    model: str
    service: ServiceEvidence = field(default_factory=ServiceEvidence)
    variability: Variability = field(default_factory=Variability)
    agreed: Variability | None = None
    """The variability when Triton's statistics last agreed with the times that are known; None: never compared."""
    sequences: Sequences = field(default_factory=Sequences)
    """Of an engine that generates tokens."""


@computed
class TemplateKnowledge:
    """What was learned of one pod template, named by its pod-template-hash."""

    template_hash: str
    shape: str = ""
    """What it asked for, a MIG profile or `gpu`; empty: not told. What was learned on one tells nothing of another."""
    models: tuple[ModelKnowledge, ...] = ()
    baselines: tuple[tuple[str, str, tuple[BatchTime, ...]], ...] = ()
    """(pod, model, statistics) when each pod's statistics were last read."""


@computed
class Slot:
    """Demand of all pods together between two scrapes, (model, inferences a second).

    Kept for the workload and not for each pod: when new pods take load over, the sum of the pods' own averages would
    count it twice for a while.
    """

    at_s: float
    rates: tuple[tuple[str, float], ...]


@computed
class Minute:
    """The minute that is being filled: mean and highest of its ticks' demand."""

    minute_s: float
    ticks: int = 0
    sum_rps: float = 0.0
    highest_rps: float = 0.0


@computed
class ReliefAttempt:
    """Growth that was asked for because of latency, and whether it helped."""

    asked_at_s: float
    replicas: int
    miss_ratio: float
    ready_since_s: float | None = None


@computed
class Silence:
    """Since when no ready replica has answered a scrape, and what was done about it."""

    since_s: float
    asked_for: int | None = None
    """Replicas that were asked for last; None: none were."""
    asked_at_s: float = 0.0
    ready_since_s: float | None = None
    """Since when they are all ready."""
    pods: tuple[str, ...] = ()
    """Those that were there when they were asked for."""
    reached: bool = False
    """A replica that came since then has answered a scrape, or refused one while it started."""
    given_up: str = ""
    """Why no more are asked for until a replica is heard again."""


@computed
class Written:
    """The number of replicas that forescale last wrote, or saw where it wrote none."""

    replicas: int
    before: int
    at_s: float


@computed
class ExternalFloor:
    """A person's upward edit, kept as a floor until it expires."""

    replicas: int
    until_s: float


@computed
class Failing:
    """Ticks in a row whose decision ended in an error."""

    since_s: float
    ticks: int = 0
    error: str = ""
    """The last one, in words."""


@computed
class WorkloadState:
    """Memory of one workload."""

    id: WorkloadId
    first_seen_s: float
    pods: tuple[PodTrack, ...] = ()
    gateways: tuple[PodTrack, ...] = ()
    """Instances of a gateway or mesh, as far as they judge this workload's objective."""
    slots: tuple[Slot, ...] = ()
    """Demand of the last scrapes, oldest first, for the length of the rate window."""
    seen_pods: tuple[str, ...] = ()
    """Pods that were seen before they were ready: their counters are known to have begun at zero."""
    lead_times: LeadTimes = field(default_factory=LeadTimes)
    """From a pod's creation until it is ready, the wait for a node included,"""
    start_times: LeadTimes = field(default_factory=LeadTimes)
    """and from when it has its node."""
    templates: tuple[TemplateKnowledge, ...] = ()
    growth: Growth = field(default_factory=Growth)
    rehearsal: Rehearsal | None = None
    """What other prices of a miss would have led to; None: nothing is known yet."""
    minute: Minute | None = None
    skew_ratio: float = 1.0
    """By how much more replicas are needed because load is spread unevenly."""
    recommended: tuple[Recommended, ...] = ()
    events: tuple[ScaleEvent, ...] = ()
    written: Written | None = None
    """None: nothing was written or seen yet, or the outcome of the last write is unknown."""
    floor: ExternalFloor | None = None
    panic_until_s: float | None = None
    relief: ReliefAttempt | None = None
    useless_until_s: float | None = None
    """Growth because of latency brought nothing: no more of it until then."""
    backlog_at_s: float | None = None
    """When a backlog was last worked off: summaries show its waits for a minute longer."""
    overspent: float = 0.0
    """Requests beyond what the SLO allows that a queue has made too late, since the last replica came."""
    silence: Silence | None = None
    """None: a replica was heard at the last tick."""
    health: tuple[PodHealth, ...] = ()
    """Of pods whose GPUs are seen, or that are slower than their siblings."""
    failing: Failing | None = None
    """None: the last tick decided."""


@computed
class SetAside:
    """A memory with which a workload's decisions failed, and without which they did not."""

    learned: WorkloadState
    at_s: float
    """When it last had to begin anew."""
    error: str
    times: int = 1
    """How often it had to since."""


@computed
class Departed:
    """A workload that is gone."""

    learned: WorkloadState
    """What holds should it come back."""
    since_s: float


@computed
class PartState:
    """How a part of the tick that is about the fleet as a whole has failed lately."""

    part: str
    failing: Failing | None = None
    """None: it went well in the last tick."""
    anew_s: float | None = None
    """When what it remembered was given up, because without that it went well; None: not in the last day."""
    error: str = ""
    """Of what it ended in before."""


@computed
class FleetMove:
    """GPUs that a workload asked for (positive) or gave back (negative) in one tick."""

    at_s: float
    gpus: float
    workload: WorkloadId | None = None
    """None: told by a version that kept the sum of all."""


@computed
class FleetGrant:
    """A workload's part of a move, of which it is not known whether it was made."""

    workload: WorkloadId
    at_s: float
    """Of the move."""
    before: int
    """Replicas from which it was to go."""
    gpus: float


@computed
class FleetState:
    """Memory of the fleet's brakes."""

    moves: tuple[FleetMove, ...] = ()
    unsure: tuple[FleetGrant, ...] = ()
    hold_down_until_s: float | None = None


@computed
class EngineState:
    """Everything the engine remembers, less the raw history, which Prometheus keeps."""

    version: int = STATE_VERSION
    last_now_s: float | None = None
    workloads: tuple[WorkloadState, ...] = ()
    departed: tuple[Departed, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    parts: tuple[PartState, ...] = ()
    """Those that fail, or had to begin anew."""
    fleet: FleetState = field(default_factory=FleetState)
    nodes: NodesState = field(default_factory=NodesState)
    slices: SlicesState = field(default_factory=SlicesState)
    forecasts: tuple[DemandForecast, ...] = ()
    """The newest of each workload, until they expire. In a journal's snapshot, not in a checkpoint: they are made anew
    every minute."""
