"""Solvers for the core's integer programs; their libraries' types never leave."""
