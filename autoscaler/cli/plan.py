"""`forescale plan`: what the controller would decide now, for every workload. Changes nothing."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from autoscaler.cli.cluster import add_cluster_arguments

    parser.add_argument("--json", action="store_true", help="print decisions as JSON")
    add_cluster_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    from autoscaler.cli.cluster import dry_run
    from autoscaler.controller.server import page_of

    done = dry_run(args)
    page = page_of(done.record, leader=None, refused=done.refused)
    if args.json:
        from autoscaler.codec import encode

        answer = {
            "now_s": page.now_s,
            "decisions": page.decisions,
            "specs": page.specs,
            "fleet": page.fleet,
            "pools": done.record.result.pools,
            "slices": done.record.result.slices,
            "refused": page.refused,
        }
        print(encode(answer).decode())
        return 0
    from autoscaler.cli.render import (
        NONE_ANNOTATED,
        console,
        decisions_table,
        finding_lines,
        pools_table,
        slice_lines,
    )

    out = console()
    if page.decisions:
        out.print(decisions_table(zip(page.decisions, page.specs, strict=True)))
    elif not page.refused:
        out.print(NONE_ANNOTATED)
    if done.record.result.pools:
        out.print(pools_table(done.record.result.pools))
    for line in slice_lines(done.record.result.slices):
        out.print(line)
    for line in finding_lines(page.fleet):
        out.print(line)
    errors = {w.samples_error for w in done.record.input.workloads if w.samples_error}
    for text in sorted(errors):
        out.print(f"! metrics: {text}", markup=False)
    for refused in page.refused:
        for problem in refused.problems:
            out.print(f"! {problem}", markup=False)
    return 0
