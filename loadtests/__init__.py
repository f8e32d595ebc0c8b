"""Load tests: open-loop load, thresholds, the local real stack, end-to-end runs and benchmarks."""
