"""What the Grafana dashboard shows: one workload, the fleet, its nodes and slices, and forescale itself."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.rules.controller import DEFECTS

ONE = '{namespace=~"$namespace",name=~"$name"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A line of a panel, or several where the legend names labels."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A graph over time. `unit` is Grafana's name of it."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading, side by side as far as they fit."""

    title: str
    panels: tuple[Panel, ...]


def _of_workload(metric: str, legend: str) -> Query:
    return Query(
        expr=f"max by (namespace, name) (forescale_workload_{metric}{ONE})",
        legend="{{namespace}}/{{name}} " + legend,
    )


def _of_pool(metric: str, legend: str) -> Query:
    return Query(expr=f"max by (pool) (forescale_pool_{metric})", legend="{{pool}} " + legend)


WORKLOAD = Row(
    title="Workload $namespace/$name",
    panels=(
        Panel(
            title="Replicas",
            description=(
                "Decided on, as seen, ready, starting; sick ones are ready and left out of what is carried, "
                "those cut find no GPU."
            ),
            queries=(
                _of_workload("target_replicas", "target"),
                _of_workload("current_replicas", "current"),
                _of_workload("ready_replicas", "ready"),
                _of_workload("starting_replicas", "starting"),
                _of_workload("sick_replicas", "sick"),
                _of_workload("cut_replicas", "cut"),
            ),
        ),
        Panel(
            title="Demand",
            description="Inferences a second - of engines that generate text, tokens - that arrive, that are provided "
            "for, and that the ready replicas carry.",
            unit="cps",
            queries=(
                _of_workload("offered_inferences_per_second", "offered"),
                _of_workload("upper_inferences_per_second", "provided for"),
                Query(
                    expr=(
                        f"max by (namespace, name) (forescale_workload_capacity_inferences_per_second{ONE}"
                        f" * forescale_workload_ready_replicas{ONE})"
                    ),
                    legend="{{namespace}}/{{name}} carried",
                ),
            ),
        ),
        Panel(
            title="Latency at the objective's quantile",
            description="Of the slowest replica.",
            unit="s",
            queries=(_of_workload("latency_seconds", ""),),
        ),
        Panel(
            title="Requests that missed",
            description="Share of the latest requests beyond the objective's threshold.",
            unit="percentunit",
            queries=(_of_workload("violated_ratio", ""),),
        ),
        Panel(
            title="Error budget left",
            description="Of each window, at least; below 0 it is overspent. `forescale slo` has the bounds.",
            unit="percentunit",
            queries=(
                Query(
                    expr=(
                        "min by (namespace, name, objective, window) "
                        f"(forescale_slo_budget_left_ratio{ONE})"
                    ),
                    legend="{{namespace}}/{{name}} {{objective}} {{window}}",
                ),
            ),
        ),
        Panel(
            title="Burn rate",
            description="Of the error budget, at most; at 1 it lasts exactly for the SLO's window.",
            queries=(
                Query(
                    expr=(
                        "max by (namespace, name, objective, window) "
                        f"(forescale_slo_burn_rate_ratio{ONE})"
                    ),
                    legend="{{namespace}}/{{name}} {{objective}} {{window}}",
                ),
            ),
        ),
        Panel(
            title="Why it is as it is",
            description="Findings that a person should know; docs/operations.md has a line for each.",
            queries=(
                Query(
                    expr=(
                        f"max by (namespace, name, reason) (forescale_workload_finding_active{ONE})"
                    ),
                    legend="{{namespace}}/{{name}} {{reason}}",
                ),
            ),
        ),
        Panel(
            title="What was learned",
            description="What one replica carries within the objective, in inferences or tokens a second.",
            unit="cps",
            queries=(_of_workload("capacity_inferences_per_second", ""),),
        ),
        Panel(
            title="Time to ready",
            description="P90, measured: how far demand is looked ahead.",
            unit="s",
            queries=(_of_workload("lead_time_seconds", ""),),
        ),
        Panel(
            title="Chance of being outgrown",
            description="That demand exceeds what is provided for before more could be ready.",
            unit="percentunit",
            queries=(_of_workload("outgrown_ratio", ""),),
        ),
    ),
)

FLEET = Row(
    title="Fleet",
    panels=(
        Panel(
            title="Replicas decided on",
            description="By namespace.",
            queries=(
                Query(
                    expr="sum by (namespace) (forescale_workload_target_replicas)",
                    legend="{{namespace}}",
                ),
            ),
        ),
        Panel(
            title="Workloads with a finding",
            description="By reason.",
            queries=(
                Query(
                    expr="sum by (reason) (forescale_workload_finding_active)",
                    legend="{{reason}}",
                ),
                Query(
                    expr="max by (reason) (forescale_fleet_finding_active)",
                    legend="{{reason}}, the whole fleet",
                ),
                Query(expr="max(forescale_fleet_refused_workloads)", legend="refused annotations"),
            ),
        ),
        Panel(
            title="Held because something is unknown",
            description="For how long; nothing is lowered meanwhile.",
            unit="s",
            queries=(
                Query(
                    expr="max by (namespace, name) (forescale_workload_unknown_hold_seconds > 0)",
                    legend="{{namespace}}/{{name}}",
                ),
            ),
        ),
    ),
)

NODES = Row(
    title="Nodes",
    panels=(
        Panel(
            title="Units of each pool",
            description="Held by pods, expected in time, and asked for beyond what is held.",
            queries=(
                _of_pool("held_units", "held"),
                _of_pool("demand_units", "expected"),
                _of_pool("headroom_units", "headroom"),
                _of_pool("free_units", "free"),
            ),
        ),
        Panel(
            title="Nodes on their way",
            description="Asked for and not of use yet; available is 0 while the pool is sold out.",
            queries=(_of_pool("coming_nodes", "coming"), _of_pool("available", "available")),
        ),
        Panel(
            title="Lead time of a node",
            description="From the request until its units are allocatable, P90, measured.",
            unit="s",
            queries=(_of_pool("lead_time_seconds", ""),),
        ),
        Panel(
            title="Why pools are as they are",
            description="Findings at node pools that a person should know.",
            queries=(
                Query(
                    expr="max by (pool, reason) (forescale_pool_finding_active)",
                    legend="{{pool}} {{reason}}",
                ),
            ),
        ),
    ),
)

SLICES = Row(
    title="Slices",
    panels=(
        Panel(
            title="Nodes by MIG config",
            description="As they are cut, and how many are being cut anew.",
            queries=(
                Query(
                    expr="max by (pool, config) (forescale_slices_nodes)",
                    legend="{{pool}} {{config}}",
                ),
                Query(
                    expr="max by (pool) (forescale_slices_changing_nodes)",
                    legend="{{pool}} being cut anew",
                ),
            ),
        ),
        Panel(
            title="Why slices are as they are",
            description="Findings at slice pools that a person should know.",
            queries=(
                Query(
                    expr="max by (pool, reason) (forescale_slices_finding_active)",
                    legend="{{pool}} {{reason}}",
                ),
            ),
        ),
        Panel(
            title="Templates that may ask for several slices",
            description="By what they ask for, what would be cheaper, and what became of it.",
            queries=(
                Query(
                    expr=(
                        "max by (namespace, name, shape, wanted, reason) "
                        f"(forescale_slices_template_info{ONE})"
                    ),
                    legend="{{namespace}}/{{name}} {{shape}} > {{wanted}} {{reason}}",
                ),
            ),
        ),
    ),
)

ITSELF = Row(
    title="forescale itself",
    panels=(
        Panel(
            title="Length of a tick",
            description="The median and the slowest in a hundred; and how long ago the last one was.",
            unit="s",
            queries=(
                *(
                    Query(
                        expr=(
                            f"histogram_quantile({q}, sum by (le) (rate(forescale_tick_duration_seconds_bucket[10m])))"
                        ),
                        legend=f"p{round(100 * q)}",
                    )
                    for q in (0.5, 0.99)
                ),
                Query(
                    expr="time() - max(forescale_tick_last_completed_timestamp_seconds > 0)",
                    legend="since the last",
                ),
            ),
        ),
        Panel(
            title="Actions",
            description="Writes to the cluster each second, by what they are to and what became of them.",
            unit="ops",
            queries=(
                Query(
                    expr="sum by (outcome) (rate(forescale_actuation_actions_total[10m]))",
                    legend="replicas {{outcome}}",
                ),
                Query(
                    expr="sum by (to, outcome) (rate(forescale_actuation_writes_total[10m]) > 0)",
                    legend="{{to}} {{outcome}}",
                ),
                Query(
                    expr='sum(rate(forescale_engine_decisions_total{reason="ExternalEditUndone"}[10m])) > 0',
                    legend="edits from outside that were undone",
                ),
            ),
        ),
        Panel(
            title="What goes wrong",
            description=(
                "Each in the last ten minutes: sources that gave nothing, ticks that failed or were left out, "
                "and what could not be kept or told."
            ),
            queries=(
                Query(
                    expr="sum by (source) (increase(forescale_source_errors_total[10m]))",
                    legend="{{source}} gave nothing",
                ),
                Query(
                    expr="sum(increase(forescale_tick_failures_total[10m]))", legend="ticks failed"
                ),
                Query(
                    expr="sum(increase(forescale_tick_overruns_total[10m]))",
                    legend="ticks left out",
                ),
                *(
                    Query(expr=f"sum(increase(forescale_{metric}_total[10m]) > 0)", legend=legend)
                    for metric, legend in (
                        ("checkpoint_failures", "checkpoints failed"),
                        ("slo_accounts_failures", "SLO accounts failed"),
                        ("journal_failures", "journal records failed"),
                        ("forecast_failures", "forecasts failed"),
                        ("events_dropped", "Events dropped"),
                    )
                ),
            ),
        ),
        Panel(
            title="Who decides, by which policy",
            description=(
                "Leaders, of which there is to be one; 1 while all is frozen, "
                "and while the policy in force is not the one that was last written."
            ),
            queries=(
                Query(expr="sum(forescale_leader_leading)", legend="leaders"),
                Query(expr="max(forescale_fleet_frozen)", legend="frozen"),
                Query(expr="max(forescale_fleet_policy_outdated)", legend="policy outdated"),
            ),
        ),
        Panel(
            title="Defects of forescale",
            description="Decisions that an error ended, each held; `engine failed` in the log says where. Report them.",
            queries=(
                Query(
                    expr=f"sum by (reason) (forescale_workload_finding_active{DEFECTS})",
                    legend="workloads, {{reason}}",
                ),
                Query(
                    expr=f"max by (reason) (forescale_fleet_finding_active{DEFECTS})",
                    legend="the fleet, {{reason}}",
                ),
            ),
        ),
        Panel(
            title="Memory last saved",
            description="Seconds ago: what was learned, and the SLO accounts. A failover loses what is younger.",
            unit="s",
            queries=(
                Query(
                    expr="time() - max(forescale_checkpoint_last_saved_timestamp_seconds > 0)",
                    legend="checkpoint",
                ),
                Query(
                    expr="time() - max(forescale_slo_accounts_last_saved_timestamp_seconds > 0)",
                    legend="SLO accounts",
                ),
            ),
        ),
    ),
)

ROWS = (WORKLOAD, FLEET, NODES, SLICES, ITSELF)
