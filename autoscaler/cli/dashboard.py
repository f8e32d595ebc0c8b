"""`forescale dashboard`: a Grafana dashboard over the controller's metrics, as JSON."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none: the data source and the workload are chosen in Grafana."""


def run(args: argparse.Namespace) -> int:
    """Prints it."""
    import json

    from autoscaler.rules.dashboard import dashboard

    print(json.dumps(dashboard(), indent=2))
    return 0
