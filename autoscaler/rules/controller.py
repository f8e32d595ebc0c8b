"""Alerts on forescale itself: is there one that leads, does it tick, does it know, may it write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoscaler.rules.document import AlertCheck, Group, Rule, UnitTest

TICK = "forescale_tick_last_completed_timestamp_seconds"
INTERVAL = "forescale_tick_interval_seconds"
LEADERS = "sum by (job) (forescale_leader_leading)"
# Reasons of what an error of forescale's own ended.
DEFECTS = '{reason=~"InternalError|MemorySetAside"}'
SICK = 'forescale_workload_sick_replicas{namespace="team",kind="Deployment",name="bert"}'
UNSEEN = 'forescale_source_errors_total{source="kubernetes"}'
HELD = 'forescale_workload_unknown_hold_seconds{namespace="team",kind="Deployment",name="bert"}'
TEMPLATES_REFUSED = 'forescale_actuation_writes_total{to="template",outcome="Rejected"}'
DEFECT = 'forescale_workload_finding_active{namespace="team",kind="Deployment",name="bert",reason="InternalError"}'
FLEET_DEFECT = 'forescale_fleet_finding_active{reason="InternalError"}'
UNFIT = 'forescale_slices_finding_active{pool="mig",reason="MigUnfit"}'
UNDONE = 'forescale_engine_decisions_total{reason="ExternalEditUndone"}'
STUCK = 'forescale_slices_finding_active{pool="mig",reason="MigStuck"}'

RULES = (
    Rule(
        alert="ForescaleAbsent",
        expr="absent(forescale_build_info)",
        for_="5m",
        labels={"severity": "page"},
        annotations={
            "summary": "no forescale is scraped",
            "description": "workloads stay as they are; nothing reacts to demand",
        },
    ),
    Rule(
        alert="ForescaleNotLeading",
        # Of each installation by itself: a second one that tries the next version does not stand in for this one.
        expr=f"{LEADERS} < 1",
        for_="2m",
        labels={"severity": "page"},
        annotations={
            "summary": "forescale runs and none of it leads",
            "description": "see the Lease forescale, and whether the API server can be reached",
        },
    ),
    Rule(
        alert="ForescaleNotTicking",
        # Longer than /livez takes to have a stuck leader restarted: six ticks, and a minute of failed probes.
        expr=f"time() - max by (job) ({TICK}) > 6 * max by (job) ({INTERVAL}) + 60 and {LEADERS} > 0",
        for_="1m",
        labels={"severity": "page"},
        annotations={
            "summary": "the leading forescale decides nothing",
            "description": "no tick was completed in the time of six and a minute; see its log",
        },
    ),
    Rule(
        alert="ForescaleTicksLate",
        expr="sum(rate(forescale_tick_overruns_total[15m])) / sum(rate(forescale_tick_runs_total[15m])) > 0.1",
        for_="15m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "more than a tenth of the ticks are left out",
            "description": "see forescale_tick_stage_duration_seconds for the part that is slow",
        },
    ),
    Rule(
        alert="ForescaleTicksFailing",
        expr="sum(increase(forescale_tick_failures_total[15m])) > 2",
        labels={"severity": "ticket"},
        annotations={
            "summary": "ticks end with an error",
            "description": "see the log; workloads stay as they are meanwhile",
        },
    ),
    Rule(
        alert="ForescaleDefect",
        # Of the fleet as a whole, or of single workloads: the log names them.
        expr=" or ".join(
            f"(count(forescale_{of}_finding_active{DEFECTS}) > 0)" for of in ("fleet", "workload")
        ),
        for_="1m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "a decision fails by a defect of forescale",
            "description": "what it is about is held; `engine failed` in the log says what failed and where: report it",
        },
    ),
    Rule(
        alert="ForescaleWorkloadUnknown",
        expr="max by (namespace, kind, name) (forescale_workload_unknown_hold_seconds) > 600",
        labels={"severity": "ticket"},
        annotations={
            "summary": "{{ $labels.namespace }}/{{ $labels.name }} is held, something is unknown",
            "description": "held for more than ten minutes; `forescale explain` says what is missing",
        },
    ),
    Rule(
        alert="ForescaleClusterUnseen",
        # One that is refused is in each tick's count; a watch that is cut is resumed within one.
        expr=f"sum(increase({UNSEEN}[15m])) / sum(increase(forescale_tick_runs_total[15m])) > 0.9",
        for_="5m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "some of the cluster is not seen",
            "description": (
                "what is not listed is not scaled, as a namespace that refuses it; the log and forescale doctor "
                "name it"
            ),
        },
    ),
    Rule(
        alert="ForescaleReplicaSick",
        expr="max by (namespace, kind, name) (forescale_workload_sick_replicas) > 0",
        for_="10m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "a replica of {{ $labels.namespace }}/{{ $labels.name }} is sick",
            "description": "another one is paid for in its place; the Event SickReplicas names pod, node and remedy",
        },
    ),
    Rule(
        alert="ForescaleWritesRefused",
        expr=" or ".join(
            f'sum(increase(forescale_actuation_{of}_total{{outcome=~"Rejected|Unknown"}}[15m])) > 3'
            for of in ("actions", "writes")
        ),
        labels={"severity": "ticket"},
        annotations={
            "summary": "the API server does not carry out what forescale asks for",
            "description": "see the Events ScaleRejected, ScaleUnknown, HeadroomRefused, MigRefused and ShapeRefused",
        },
    ),
    Rule(
        alert="ForescaleWorkloadsRefused",
        expr="max(forescale_fleet_refused_workloads) > 0",
        for_="15m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "annotated workloads are left alone",
            "description": (
                "forescale doctor names them; their Events, InvalidAnnotation or Unsupported, say what is allowed"
            ),
        },
    ),
    Rule(
        alert="ForescaleEditsUndone",
        # A pipeline lowers them once; what heals itself every ten minutes does so six times.
        expr=f"sum(increase({UNDONE}[1h])) > 3",
        labels={"severity": "ticket"},
        annotations={
            "summary": "replicas are lowered from outside again and again",
            "description": (
                "forescale puts them back, and pods come and go; the Events ExternalEdit name who lowers them: leave "
                "spec.replicas out there"
            ),
        },
    ),
    Rule(
        alert="ForescaleFrozen",
        expr="max(forescale_fleet_frozen) > 0",
        for_="1h",
        labels={"severity": "ticket"},
        annotations={
            "summary": "all scaling has been frozen for an hour",
            "description": "a person set `freeze` in the policy; take it out when the reason is gone",
        },
    ),
    Rule(
        alert="ForescalePolicyOutdated",
        expr="max(forescale_fleet_policy_outdated) > 0",
        for_="15m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "forescale does not run with the policy that was last written",
            "description": (
                "only freeze is taken over while it runs: see its log, then forescale check-config, then restart it"
            ),
        },
    ),
    Rule(
        alert="ForescaleNodeStuck",
        expr='max by (pool) (forescale_slices_finding_active{reason="MigStuck"}) > 0',
        for_="5m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "a node of {{ $labels.pool }} got neither its new slices nor its old ones back",
            "description": "it stays cordoned, its pool waits; look at its MIG manager, then set nvidia.com/mig.config",
        },
    ),
    Rule(
        alert="ForescaleNodeOfNoUse",
        expr='max by (pool, reason) (forescale_slices_finding_active{reason="MigUnfit"} '
        'or forescale_pool_finding_active{reason="NodeBroken"}) > 0',
        # It is told of after ten minutes.
        for_="20m",
        labels={"severity": "ticket"},
        annotations={
            "summary": "a node of {{ $labels.pool }} is paid for and of no use: {{ $labels.reason }}",
            "description": "its Event, or forescale doctor, names it: conditions, device plugin, nvidia.com/mig.config",
        },
    ),
    Rule(
        alert="ForescaleMemoryNotSaved",
        expr="sum(increase(forescale_checkpoint_failures_total[15m])) > 5",
        labels={"severity": "ticket"},
        annotations={
            "summary": "what was learned is not saved",
            "description": "a failover would start cold: slower to scale down, and with seeds for what is known",
        },
    ),
    Rule(
        alert="ForescaleAccountsNotSaved",
        # They are saved every ten minutes: within the hour more than one save failed.
        expr="sum(increase(forescale_slo_accounts_failures_total[1h])) > 2",
        labels={"severity": "ticket"},
        annotations={
            "summary": "SLO accounts are not saved",
            "description": "a restart would lose what was counted since, and show it as time that was not seen",
        },
    ),
    Rule(
        alert="ForescaleJournalNotWritten",
        expr="sum(increase(forescale_journal_failures_total[15m])) > 5",
        labels={"severity": "ticket"},
        annotations={
            "summary": "ticks are not written down",
            "description": "decisions go on; `explain --journal` and `replay` will lack this time",
        },
    ),
)


def controller_group() -> Group:
    """All of them."""
    return Group(name="forescale/controller", rules=RULES)


def controller_tests() -> tuple[UnitTest, ...]:
    """A forescale that is well, and for each alert one that is not."""
    end = 90
    well = {
        'forescale_build_info{version="0"}': f"1x{end}",
        'forescale_leader_leading{pod="a"}': f"1x{end}",
        'forescale_leader_leading{pod="b"}': f"0x{end}",
        TICK: f"0+60x{end}",
        INTERVAL: f"10x{end}",
        "forescale_tick_runs_total": f"0+6x{end}",
        "forescale_tick_overruns_total": f"0x{end}",
        "forescale_tick_failures_total": f"0x{end}",
        HELD: f"0x{end}",
        UNSEEN: f"0x{end}",
        SICK: f"0x{end}",
        'forescale_actuation_actions_total{outcome="Rejected"}': f"0x{end}",
        TEMPLATES_REFUSED: f"0x{end}",
        "forescale_fleet_refused_workloads": f"0x{end}",
        UNDONE: f"0x{end}",
        "forescale_fleet_frozen": f"0x{end}",
        "forescale_fleet_policy_outdated": f"0x{end}",
        STUCK: f"0x{end}",
        UNFIT: f"0x{end}",
        "forescale_checkpoint_failures_total": f"0x{end}",
        "forescale_slo_accounts_failures_total": f"0x{end}",
        "forescale_journal_failures_total": f"0x{end}",
    }
    ill: dict[str, dict[str, str | None]] = {
        "ForescaleAbsent": {'forescale_build_info{version="0"}': None},
        "ForescaleNotLeading": {'forescale_leader_leading{pod="a"}': f"0x{end}"},
        "ForescaleNotTicking": {TICK: f"0x{end}"},
        "ForescaleTicksLate": {"forescale_tick_overruns_total": f"0+1x{end}"},
        "ForescaleTicksFailing": {"forescale_tick_failures_total": f"0+1x{end}"},
        "ForescaleDefect": {FLEET_DEFECT: f"1x{end}"},
        "ForescaleWorkloadUnknown": {HELD: f"0+60x{end}"},
        "ForescaleClusterUnseen": {UNSEEN: f"0+6x{end}"},
        "ForescaleReplicaSick": {SICK: f"1x{end}"},
        "ForescaleWritesRefused": {
            'forescale_actuation_actions_total{outcome="Rejected"}': f"0+1x{end}"
        },
        "ForescaleWorkloadsRefused": {"forescale_fleet_refused_workloads": f"1x{end}"},
        "ForescaleEditsUndone": {UNDONE: f"0+0.1x{end}"},
        "ForescaleFrozen": {"forescale_fleet_frozen": f"1x{end}"},
        "ForescalePolicyOutdated": {"forescale_fleet_policy_outdated": f"1x{end}"},
        "ForescaleNodeStuck": {STUCK: f"1x{end}"},
        "ForescaleNodeOfNoUse": {UNFIT: f"1x{end}"},
        "ForescaleMemoryNotSaved": {"forescale_checkpoint_failures_total": f"0+1x{end}"},
        "ForescaleAccountsNotSaved": {"forescale_slo_accounts_failures_total": f"0+0.1x{end}"},
        "ForescaleJournalNotWritten": {"forescale_journal_failures_total": f"0+1x{end}"},
    }
    tests = [
        UnitTest(
            name="forescale is well",
            series=well,
            checks=tuple(AlertCheck(at=f"{end}m", alert=rule.alert or "") for rule in RULES),
        ),
        _between_slow_ticks(well, end),
        _beside_another(well, end),
        _templates_refused(well, end),
        _workload_fails(well, end),
    ]
    for rule in RULES:
        name = rule.alert or ""
        series = {k: v for k, v in {**well, **ill[name]}.items() if v is not None}
        tests.append(
            UnitTest(
                name=name,
                series=series,
                checks=(AlertCheck(at=f"{end}m", alert=name, fire=(_as_fired(rule),)),),
            )
        )
    return tuple(tests)


def _between_slow_ticks(well: Mapping[str, str], end: int) -> UnitTest:
    """A tick every five minutes, the last one after ten: it is missed 31 minutes later, and told at 43."""
    (rule,) = [rule for rule in RULES if rule.alert == "ForescaleNotTicking"]
    fired = {"41m": (), "43m": (_as_fired(rule),)}
    return UnitTest(
        name="forescale ticks slowly",
        series={**well, TICK: f"0+60x10 600x{end - 11}", INTERVAL: f"300x{end}"},
        checks=tuple(
            AlertCheck(at=at, alert="ForescaleNotTicking", fire=fire) for at, fire in fired.items()
        ),
    )


def _beside_another(well: Mapping[str, str], end: int) -> UnitTest:
    """Nobody leads, and of an installation beside it somebody does."""
    (rule,) = [rule for rule in RULES if rule.alert == "ForescaleNotLeading"]
    fired = AlertCheck(at=f"{end}m", alert="ForescaleNotLeading", fire=(_as_fired(rule),))
    beside = {
        'forescale_leader_leading{pod="a"}': f"0x{end}",
        'forescale_leader_leading{pod="c",job="next"}': f"1x{end}",
    }
    return UnitTest(name="another installation leads", series={**well, **beside}, checks=(fired,))


def _templates_refused(well: Mapping[str, str], end: int) -> UnitTest:
    """Replicas are written, templates are not."""
    (rule,) = [rule for rule in RULES if rule.alert == "ForescaleWritesRefused"]
    fired = AlertCheck(at=f"{end}m", alert="ForescaleWritesRefused", fire=(_as_fired(rule),))
    series = {**well, TEMPLATES_REFUSED: f"0+1x{end}"}
    return UnitTest(name="templates are refused", series=series, checks=(fired,))


def _workload_fails(well: Mapping[str, str], end: int) -> UnitTest:
    """One workload's decisions, and nothing of the fleet."""
    (rule,) = [rule for rule in RULES if rule.alert == "ForescaleDefect"]
    fired = AlertCheck(at=f"{end}m", alert="ForescaleDefect", fire=(_as_fired(rule),))
    series = {**well, DEFECT: f"1x{end}"}
    return UnitTest(name="a workload's decisions fail", series=series, checks=(fired,))


def _as_fired(rule: Rule) -> Rule:
    """With the labels of the series, and the template filled in."""
    labels, summary = {
        "ForescaleWorkloadUnknown": (
            {"namespace": "team", "kind": "Deployment", "name": "bert"},
            "team/bert is held, something is unknown",
        ),
        "ForescaleReplicaSick": (
            {"namespace": "team", "kind": "Deployment", "name": "bert"},
            "a replica of team/bert is sick",
        ),
        "ForescaleNodeOfNoUse": (
            {"pool": "mig", "reason": "MigUnfit"},
            "a node of mig is paid for and of no use: MigUnfit",
        ),
        "ForescaleNodeStuck": (
            {"pool": "mig"},
            "a node of mig got neither its new slices nor its old ones back",
        ),
    }.get(rule.alert or "", ({}, rule.annotations["summary"]))
    return replace(
        rule,
        labels={**rule.labels, **labels},
        annotations={**rule.annotations, "summary": summary},
    )
