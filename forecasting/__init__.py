"""Forecasting of demand: a library of its own that knows nothing of Kubernetes or GPUs."""
