"""What an SRE may set for the controller. Every default is meant to be left alone, but for the address of Prometheus.

The engine's part is `autoscaler.core.settings.EngineConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings:
    """Where metrics come from. Credentials are read from files only, so that they never get into a journal or a log."""

    url: str = "http://prometheus-operated.monitoring.svc:9090"
    """Where it answers: the one setting without a useful default."""
    timeout_s: float = 4.0
    """Of one query. A tick waits no longer than `collect_timeout_s` for all of them."""
    collect_timeout_s: float | None = None
    """A Prometheus that is slower counts as not answering. None: half a tick, the other half is left for writing."""
    bearer_token_file: str | None = None
    """Holds the token that is sent; read anew for each query."""
    username: str | None = None
    """Of a login by password (HTTP basic authentication), with `password_file`."""
    password_file: str | None = None
    """Holds the password; read anew for each query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with each query, such as `X-Scope-OrgID` for the tenant of a Mimir or Thanos; nothing that is secret."""
    ca_file: str | None = None
    """Certificates that its certificate is checked against; read anew for each connection."""
    cert_file: str | None = None
    """Certificate that the client shows where it is asked for one, and its key unless that is in `key_file`; read anew
    for each connection."""
    key_file: str | None = None
    """The key of `cert_file`."""
    insecure_skip_verify: bool = False
    """Take any certificate: for tests."""
    backfill_s: float = 2 * 86400.0
    """How far back a range query at start reaches; 0 asks for nothing. Two days show what repeats; a week of 1,000
    workloads would be ten million points."""
    max_concurrent_queries: int = 8
    """Asked at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """How the API server is reached."""

    kubeconfig: str | None = None
    """None: the pod's service account, else KUBECONFIG, else ~/.kube/config."""
    context: str | None = None
    """Of the kubeconfig; None: its current one."""
    watch_namespaces: tuple[str, ...] = ()
    """Read nothing but what is in these namespaces: for whoever gets no rights in the whole cluster. Empty: all of them
    are watched. Which of them have forescale, and how far it goes there, is said in `namespaces`."""
    request_timeout_s: float = 4.0
    """Of one call. With the leader's renew deadline it stays below the lease duration: no write outlives the lease."""
    max_concurrent_writes: int = 10
    """Under way at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSettings:
    """The Lease that decides which of several controllers acts. The times are Kubernetes' own controllers'."""

    enabled: bool = True
    """False: this controller always leads; run one only."""
    lease_name: str = "forescale"
    """Of the Lease."""
    namespace: str | None = None
    """None: the namespace that the controller runs in."""
    duration_s: float = 15.0
    """Others take over when the lease has not changed for so long."""
    renew_deadline_s: float = 10.0
    """A leader that could not renew for so long stops by itself."""
    retry_s: float = 2.0
    """Between two attempts to take or renew the lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """Where every tick is written down."""

    path: str | None = None
    """A folder; None: no journal is kept."""
    max_file_mib: float = 64.0
    """A file that has grown to this is compressed and a new one begun."""
    keep: int = 64
    """Compressed files that are kept; older ones go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The HTTP server: health, metrics, last decisions."""

    bind: str = "0.0.0.0"
    """Address that it listens on."""
    port: int = 8080
    """0: a free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """Where what was learned survives a restart."""

    config_map: str = "forescale-state"
    """Its name; the SLO accounts are in another one beside it."""
    path: str | None = None
    """A file instead of the ConfigMap: for a controller that runs outside a cluster."""
    interval_s: float = 60.0
    """Between two saves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastSettings:
    """Who is forecast by what, and how often models learn anew. Forecasts count only as far as they were better than
    the last value, so that none of this needs tuning."""

    enabled: bool = True
    """False: decisions rest on the last values alone."""
    own_models: int = 100
    """Workloads that get a model of their own, the busiest first. Each takes a minute of one core a day to fit and a
    tenth of a second a minute to ask. The others share one."""
    quick_models: int = 100
    """Workloads that have at least a model of the quick methods of their own, the busiest first: until a better one is
    fitted, after a restart above all. Each takes half a second to fit and a fiftieth of one a minute to ask."""
    refit_s: float = 86400.0
    """Of a workload's own model."""
    fleet_refit_s: float = 6 * 3600.0
    """Of the model that workloads share; none is fitted while all have their own."""
    lasts_s: float = 300.0
    """A forecast that is not renewed is believed for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacePolicy:
    """What the workloads of a namespace may ask for. What one that is named leaves out is as `*` has it."""

    allow: bool = True
    """False: annotations in this namespace have no effect."""
    slo: str | None = None
    """For workloads whose `forescale.io/slo` is `default`; null: there is none."""
    mode: Mode = Mode.AUTO
    """For workloads that name none."""
    max_mode: Mode = Mode.AUTO
    """No workload goes further than this, whatever its annotation says: with `recommend` nothing is written."""
    max_priority: int = 0
    """A higher forescale.io/priority is lowered to this."""
    max_replicas: int | None = None
    """Ceiling for workloads that name none; None: the engine's."""
    steer_victims: bool = False
    """Before replicas are lowered, mark with pod-deletion-cost which pods go, so that nodes empty."""

    @property
    def scaled(self) -> bool:
        """Whether replicas of any workload there may be written."""
        return self.allow and self.max_mode is Mode.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySet:
    """PromQL for a serving engine, by signal. None: that engine does not tell.

    Counters are asked as they are, never as a rate: the engine takes differences itself. `$namespace` and `$name` stand
    for the workload's; a query without them is asked once for all workloads.
    """

    success: str | None = None
    """Counter: requests answered well."""
    failure: str | None = None
    """Counter: requests that failed."""
    inferences: str | None = None
    """Counter: items; a request with a batch of 4 counts 4."""
    executions: str | None = None
    """Counter: batches."""
    pending: str | None = None
    """Gauge: requests that wait."""
    request_s: str | None = None
    """Counter: time of the requests, added up."""
    queue_s: str | None = None
    """Counter: their time in the queue, added up."""
    compute_s: str | None = None
    """Counter: their time in computation, added up."""
    latency_quantiles: str | None = None
    """With a label `quantile`."""
    latency_buckets: str | None = None
    """With a label `le`."""
    ttft_buckets: str | None = None
    """Time to the first token, with a label `le`."""
    tpot_buckets: str | None = None
    """Each request's mean time per output token, with a label `le`."""
    token_s: str | None = None
    """Time between tokens, added up over all tokens; `inferences` then counts tokens."""
    running: str | None = None
    """Gauge: sequences in the batch."""
    cache_ratio: str | None = None
    """Gauge: share of the key-value cache in use, 0 to 1."""
    seconds_per_unit: float = 1.0
    """Of the time counters and quantiles; 1e-6 for microseconds."""
    namespace_label: str = "namespace"
    """Label that names the pod's namespace."""
    pod_label: str = "pod"
    """Label that names the pod."""
    model_label: str | None = "model"
    """Label that names the model; None: the server has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayQueries:
    """A gateway's or mesh's latency histogram that names the workload a request went to."""

    metric: str = ""
    """Its `_bucket` series."""
    where: str = ""
    """Label matchers that are always added, such as `reporter="source"`."""
    namespace_label: str = "destination_workload_namespace"
    """Label that names the workload's namespace."""
    workload_label: str = "destination_workload"
    """Label that names the workload."""
    code_label: str = "response_code"
    """Label that holds the status."""
    failed_codes: str = "0|429|5.."
    """A regular expression: what a client sees as failed. `0` is Envoy's for a connection that broke."""
    instance_label: str = "pod"
    """What tells one instance of the gateway from another."""
    seconds_per_le: float = 1.0
    """Of the bounds in `le`; 0.001 for milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KServeSettings:
    """How InferenceServices are scaled; their mode and class decide the rest."""

    patch_revisions: bool = False
    """Knative mode: write the scale of the live Revision as its annotations. Knative takes them over from 1.21 on; an
    older one does not, and a change of the service itself would start all of its pods anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomSettings:
    """Where headroom for node pools (`engine.nodes`) is written, and what it is made of."""

    namespace: str = "forescale-headroom"
    """Its own: nothing in it has any rights."""
    image: str = "registry.k8s.io/pause:3.10"
    """Of placeholder pods."""
    priority_class: str = "forescale-headroom"
    """-10: the lowest that the cluster-autoscaler does not overlook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    prometheus: PrometheusSettings = field(default_factory=PrometheusSettings)
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    leader: LeaderSettings = field(default_factory=LeaderSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    forecast: ForecastSettings = field(default_factory=ForecastSettings)
    kserve: KServeSettings = field(default_factory=KServeSettings)
    headroom: HeadroomSettings = field(default_factory=HeadroomSettings)
    namespaces: Mapping[str, NamespacePolicy] = field(default_factory=dict)
    """By name; `*` stands for every namespace that is not named, and for what one that is named leaves out."""
    queries: Mapping[str, QuerySet] = field(default_factory=dict)
    """By the name that `forescale.io/engine` gives."""
    gateway: str = "auto"
    """Whose histogram latency is read from first: `istio`, `linkerd`, a name of `gateways`, `none`; `auto` takes those
    that are built in and scraped."""
    gateways: Mapping[str, GatewayQueries] = field(default_factory=dict)
    """Others, by name."""
    profiles: Mapping[str, str] = field(default_factory=dict)
    """Files of service times that `forescale profile import` wrote, by workload (`namespace/name`, with `@1g.10gb`
    behind it for one of that slice), looked for beside the policy: what is believed of a workload until it has been
    measured."""
    freeze: str | None = None
    """Why all scaling is stopped; None: it is not."""

    def namespace(self, name: str) -> NamespacePolicy:
        """The policy of one namespace."""
        return self.namespaces.get(name) or self.namespaces.get("*") or NamespacePolicy()

    @property
    def scaled_namespaces(self) -> tuple[str, ...] | None:
        """Where replicas may be written at all; None: everywhere, but for what single namespaces say."""
        watched = self.kubernetes.watch_namespaces
        if watched:
            return tuple(sorted(name for name in watched if self.namespace(name).scaled))
        if self.namespaces.get("*", NamespacePolicy()).scaled:
            return None
        return tuple(sorted(name for name, policy in self.namespaces.items() if policy.scaled))
