"""Several workloads on one modelled cluster, on whole GPUs and on MIG slices, decided by one engine."""
