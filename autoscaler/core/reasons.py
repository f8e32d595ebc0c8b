"""Every reason that a decision can carry: a closed list, in Kubernetes' CamelCase, HPA's own words where it has one."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a number is what it is."""

    # moves
    DEMAND_RISING = "DemandRising"
    DEMAND_FALLING = "DemandFalling"
    SLO_AT_RISK = "SloAtRisk"
    SATURATED = "Saturated"
    PANIC = "Panic"
    FORECAST_DEMAND = "ForecastDemand"
    SICK_REPLICAS = "SickReplicas"
    SURVIVES_LOSS = "SurvivesLoss"
    SCHEDULED_FLOOR = "ScheduledFloor"
    EXTERNAL_FLOOR = "ExternalFloor"
    EXTERNAL_EDIT_UNDONE = "ExternalEditUndone"

    # holds
    STEADY = "Steady"
    WITHIN_TOLERANCE = "WithinTolerance"
    WORTH_KEEPING = "WorthKeeping"
    SCALE_DOWN_STABILIZED = "ScaleDownStabilized"
    SCALE_UP_STABILIZED = "ScaleUpStabilized"
    SCALE_DOWN_LIMITED = "ScaleDownLimited"
    SCALE_UP_LIMITED = "ScaleUpLimited"
    SCALE_DOWN_UNSAFE = "ScaleDownUnsafe"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    TOO_MANY_REPLICAS = "TooManyReplicas"
    ROLLOUT = "RolloutInProgress"
    STARTING = "ReplicasStarting"
    WARMING_UP = "WarmingUp"
    NO_DATA = "NoData"
    UNRESPONSIVE = "Unresponsive"
    STALE_DATA = "StaleData"
    PARTIAL_DATA = "PartialData"
    CLOCK_STEPPED_BACK = "ClockSteppedBack"
    CAPACITY_UNKNOWN = "CapacityUnknown"
    CAPACITY_UNPROVEN = "CapacityUnproven"
    PAUSED = "Paused"
    MODE_OFF = "ModeOff"
    HELD_BY_OTHER = "HeldByAnotherAutoscaler"
    SCALED_TO_ZERO = "ScaledToZero"
    FAILED_CREATE = "FailedCreate"
    FROZEN = "Frozen"
    FLEET_BRAKE = "FleetBrake"
    CORRELATED_DROP = "CorrelatedDrop"
    SCARCE_GPUS = "ScarceGpus"
    SCHEDULING_CEILING = "SchedulingCeiling"
    INTERNAL_ERROR = "InternalError"

    # findings
    MEMORY_SET_ASIDE = "MemorySetAside"
    SLO_UNATTAINABLE = "SloUnattainable"
    SLO_UNTOLD = "SloUntold"
    MODEL_UNSERVED = "ModelUnserved"
    GROWTH_USELESS = "GrowthUseless"
    UNEVEN_LOAD = "UnevenLoad"
    UNEVEN_SPEED = "UnevenSpeed"
    EXTERNAL_EDIT = "ExternalEdit"
    INVALID_ANNOTATION = "InvalidAnnotation"
    UNSUPPORTED = "Unsupported"
    DUPLICATE_SAMPLE = "DuplicateSample"
    PROFILE_UNUSED = "ProfileUnused"
    UNSCHEDULABLE = "Unschedulable"
    NOT_STARTING = "ReplicasNotStarting"

    # node pools
    NODE_DEMAND_AHEAD = "NodeDemandAhead"
    NODE_HEADROOM_KEPT = "NodeHeadroomKept"
    NODE_HEADROOM_CAPPED = "NodeHeadroomCapped"
    NODE_HEADROOM_EATEN = "NodeHeadroomEaten"
    NODE_STATUS_STALE = "NodeStatusStale"
    NODE_STOCK_OUT = "NodeStockOut"
    NODE_STOCK_PROBE = "NodeStockProbe"
    NODE_BACKEND_UNPROVEN = "NodeBackendUnproven"
    NODE_BACKEND_MISSING = "NodeBackendMissing"
    NODE_BROKEN = "NodeBroken"
    NODES_UNNEEDED = "NodesUnneeded"

    # slices
    VARIANT_MIX = "VariantMix"
    VARIANT_TRIAL = "VariantTrial"
    NO_FREE_SLICE = "NoFreeSlice"
    MIG_STEADY = "MigSteady"
    MIG_WANTED = "MigWanted"
    MIG_CHANGING = "MigChanging"
    MIG_CHANGED = "MigChanged"
    MIG_FAILED = "MigFailed"
    MIG_STUCK = "MigStuck"
    MIG_HELD = "MigHeld"
    MIG_UNFIT = "MigUnfit"
    SHAPE_STEADY = "ShapeSteady"
    SHAPE_CHEAPER = "ShapeCheaper"
    SHAPE_CHANGING = "ShapeChanging"
    SHAPE_CHANGED = "ShapeChanged"
    SHAPE_FAILED = "ShapeFailed"


BLIND = frozenset(
    {
        Reason.NO_DATA,
        Reason.STALE_DATA,
        Reason.UNRESPONSIVE,
        Reason.PARTIAL_DATA,
        Reason.CLOCK_STEPPED_BACK,
    }
)
"""Holds because too little is seen: each is a Warning Event, and how long it has held is a metric."""
