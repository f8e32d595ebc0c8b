"""Prometheus rules for error budgets, written from what forescale itself exports."""
