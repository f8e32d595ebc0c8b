"""`forescale rules`: rules for the error budgets of annotated workloads, and promtool's unit tests of them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler.errors import AutoscalerError, ConfigError, Problem

if TYPE_CHECKING:
    from autoscaler.core.types import WorkloadSpec
    from autoscaler.rules.document import Group, UnitTest

RULES, TESTS = ".rules.yaml", ".test.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from autoscaler.cli.cluster import add_cluster_arguments

    parser.add_argument("workload", metavar="NAMESPACE/NAME", nargs="?", help="else all annotated")
    parser.add_argument(
        "--manifests", type=Path, nargs="+", metavar="PATH", help="read these, not a cluster"
    )
    parser.add_argument(
        "--controller-alerts", action="store_true", help="alerts on forescale itself, nothing else"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write the rules there, with unit tests for promtool; else the rules are printed",
    )
    parser.add_argument(
        "--prometheus-rule",
        action="store_true",
        help="as the Prometheus Operator's resource PrometheusRule",
    )
    parser.add_argument(
        "--namespace-label",
        default="namespace",
        choices=("namespace", "exported_namespace"),
        help="what the scrape of forescale makes of its label; exported_namespace without honorLabels",
    )
    parser.add_argument("--json", action="store_true", help="print the rules as JSON")
    add_cluster_arguments(parser, dry=False)


def run(args: argparse.Namespace) -> int:
    """Writes or prints the rules."""
    if args.output and (args.json or args.prometheus_rule):
        given = "with --json" if args.json else "with --prometheus-rule"
        raise ConfigError(
            (Problem("--output", given, "writes plain rule files only, which promtool reads"),)
        )
    if args.controller_alerts and (args.workload or args.manifests):
        given = "with a workload" if args.workload else "with --manifests"
        raise ConfigError(
            (Problem("--controller-alerts", given, "are of no workload: leave it out"),)
        )
    made = _controller() if args.controller_alerts else _workloads(args)
    if args.output:
        _write(made, args.output)
        return 0
    from autoscaler.rules.document import prometheus_rule, rule_file

    groups = [item.group for item in made]
    name = "forescale-controller" if args.controller_alerts else "forescale-slo"
    document = prometheus_rule(groups, name) if args.prometheus_rule else rule_file(groups)
    if args.json:
        from autoscaler.codec import encode

        print(encode(document).decode())
    else:
        print(_yaml(document), end="")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file's worth of rules and their tests."""

    file: str
    group: Group
    tests: tuple[UnitTest, ...]


def _write(made: list[Made], folder: Path) -> None:
    """A pair of files for each workload, so that one that goes takes its alerts along."""
    from autoscaler.rules.document import rule_file, unit_test_file

    folder.mkdir(parents=True, exist_ok=True)
    for item in made:
        rules, tests = item.file + RULES, item.file + TESTS
        (folder / rules).write_text(_yaml(rule_file([item.group])), encoding="utf-8")
        (folder / tests).write_text(_yaml(unit_test_file(rules, item.tests)), encoding="utf-8")
        print(f"{folder / rules}: {len(item.group.rules)} rules, {len(item.tests)} tests")
    print(f"try them: promtool test rules {folder}/*{TESTS}")


def _controller() -> list[Made]:
    from autoscaler.rules.controller import controller_group, controller_tests

    return [Made(file="forescale", group=controller_group(), tests=controller_tests())]


def _workloads(args: argparse.Namespace) -> list[Made]:
    from autoscaler.rules.objective_tests import unit_tests
    from autoscaler.rules.objectives import group_of

    label: str = args.namespace_label
    return [
        Made(
            file=str(spec.id).replace("/", "-"),
            group=group_of(spec, namespace_label=label),
            tests=unit_tests(spec, namespace_label=label),
        )
        for spec in _chosen(_specs(args), args.workload)
    ]


def _specs(args: argparse.Namespace) -> list[WorkloadSpec]:
    from autoscaler.cli.cluster import settings_of

    settings = settings_of(args)
    if args.manifests:
        from autoscaler.cli.manifests import workloads_in

        specs, problems = workloads_in(args.manifests, settings)
        ids = [spec.id for spec in specs]
        problems += [
            Problem(str(one), "is in the manifests twice", "give those of one environment")
            for one in sorted({one for one in ids if ids.count(one) > 1})
        ]
        if problems:
            raise ConfigError(tuple(problems))
        return specs
    import asyncio

    from autoscaler.cli.render import console, waiting
    from autoscaler.clock import SystemClock
    from autoscaler.controller.dry_run import list_workloads

    with waiting("looking at the cluster"):
        seen = asyncio.run(list_workloads(settings, SystemClock()))
    for refused in seen.refused:
        for problem in refused.problems:
            console(stderr=True).print(f"! left out: {problem}", markup=False)
    return [item.spec for item in seen.workloads]


def _chosen(specs: list[WorkloadSpec], workload: str | None) -> list[WorkloadSpec]:
    names = [str(spec.id) for spec in specs]
    if workload is not None and workload not in names:
        from autoscaler.cli.explain import unknown_workload

        raise AutoscalerError(unknown_workload(workload, names))
    chosen = [spec for spec in specs if workload is None or str(spec.id) == workload]
    if not chosen:
        raise AutoscalerError("rules: no workload is annotated with forescale.io/slo")
    return sorted(chosen, key=lambda spec: spec.id)


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    # Wide: an expression that is broken over lines can't be copied into Prometheus' search box.
    return yaml.safe_dump(document, sort_keys=False, width=4096, allow_unicode=True)
