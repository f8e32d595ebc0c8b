"""What is seen of a workload from outside: pods and scale as Kubernetes shows them, servers as they are scraped.

As it was told at one moment; nothing here is computed. `None` means "not observed", never zero. Points in time are
seconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

# ---------------------------------------------------------------- what Kubernetes shows


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStatus:
    """One pod of a workload. Times are the API server's."""

    name: str
    template_hash: str = ""
    created_s: float
    ready_s: float | None = None
    """Since when it is ready, without a break; None: it is not."""
    first_ready_s: float | None = None
    """When it first became ready, where known: time-to-ready is first_ready_s - created_s."""
    scheduled_s: float | None = None
    """When it was bound to its node; None: it is not, or that is not told."""
    deleted_s: float | None = None
    """Deletion timestamp; None: not terminating."""
    restarts: int = 0
    unschedulable: bool = False
    gated: bool = False
    """Held back from scheduling, as Kueue does."""
    failing: str | None = None
    """Why a container of it does not run, in the kubelet's words, such as `ImagePullBackOff`; None: nothing is told."""
    node: str | None = None
    """Where it runs; None: it is not on a node yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """The scale as Kubernetes shows it at one moment."""

    desired: int
    """spec.replicas as read from the scale."""
    rollout: bool = False
    """A new pod template is being rolled out, or the controller has not yet seen the last change."""
    template_hash: str = ""
    """Hash of the newest pod template, by which capacity is remembered."""
    held_by: str | None = None
    """Another autoscaler that owns the scale, as `HorizontalPodAutoscaler ns/name`."""
    hand_over: str = "delete it"
    """What a person does to hand the scale over from who holds it."""
    blocked: str | None = None
    """Why pods can't be made (quota, FailedCreate), in Kubernetes' words."""
    set_by: str | None = None
    """Who last changed `desired`, as the API server keeps it, such as `kubectl`; None: it tells nobody or several."""
    set_by_itself: bool = False
    """That is this forescale, be it another process of it."""


# ---------------------------------------------------------------- what the servers say


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTime:
    """Executions of one batch size since the server started, and the time that they took together."""

    batch_size: int
    count: int
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCounters:
    """Counters of one model on one pod since the server started (Triton's `nv_inference_*`); None: not exported.

    `queue_s`, `compute_s` and `request_s` add up over requests: every request of a batch adds the whole batch's time.
    """

    model: str
    success: float | None = None
    """Requests answered well."""
    failure: float | None = None
    """Requests that failed, were rejected or cancelled."""
    inferences: float | None = None
    """Items: a request with a client-side batch of 4 counts 4."""
    executions: float | None = None
    """Batches executed."""
    pending: float | None = None
    """Gauge: requests waiting for an instance now."""
    request_s: float | None = None
    queue_s: float | None = None
    compute_s: float | None = None
    latency_quantiles: tuple[tuple[float, float], ...] = ()
    """(quantile, seconds) of recent requests, ascending; summaries of this pod alone."""
    summarised: bool = False
    """It keeps such summaries, be it that there was no request lately: then they have no value."""
    latency_buckets: tuple[tuple[float, float], ...] = ()
    """(upper bound in seconds, cumulative count) of a histogram, ascending, +Inf as a bound of 1e308."""
    ttft_buckets: tuple[tuple[float, float], ...] = ()
    """The same for the time to the first token, and"""
    tpot_buckets: tuple[tuple[float, float], ...] = ()
    """for each request's mean time per output token."""
    token_s: float | None = None
    """Engines that generate tokens, whose `inferences` are tokens: time between tokens, added up over all tokens."""
    running: float | None = None
    """Gauge: sequences in the batch now."""
    cache_ratio: float | None = None
    """Gauge: share of the key-value cache in use, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSample:
    """What one pod's server exported at one scrape."""

    pod: str
    sampled_at_s: float
    models: tuple[ModelCounters, ...] = ()
    engine: str = ""
    """Whose metrics these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodGpus:
    """What DCGM shows of the GPUs that a pod holds."""

    pod: str
    xids: tuple[int, ...] = ()
    """The last error code (XID) of each GPU that has had one, ascending. It stays until the driver or the exporter
    starts anew, and a later code takes its place. Empty: none has had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """How the last scrape of a pod ended that brought no sample."""

    pod: str
    at_s: float
    answered: bool
    """Prometheus' `up`; a pod that is several targets answered if one of them did."""
    took_s: float | None = None
    """Of one that failed: a refused connection takes milliseconds, a server that keeps silent the whole timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """All that Prometheus scrapes, whosever it is, and how many of them answered the last time."""

    known: int
    answering: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """What Triton itself tells of one model on one pod template: configuration and measured time per batch size."""

    model: str
    version: str = ""
    """The versions that are loaded, as `2` or `1,2`; empty: not told."""
    max_batch_size: int = 1
    instances: int = 1
    max_queue_delay_s: float = 0.0
    batch_times: tuple[BatchTime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProfile:
    """Statistics of one pod's models, read from Triton's own API now and then."""

    pod: str
    template_hash: str
    sampled_at_s: float
    models: tuple[ModelProfile, ...]
