"""`forescale demo`: a day of three workloads on modelled clusters, forescale beside HPA and a static peak."""

from __future__ import annotations

from autoscaler.simulation.demo.command import main

__all__ = ["main"]
