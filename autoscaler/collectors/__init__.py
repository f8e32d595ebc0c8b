"""From clients to observations: what Prometheus, Kubernetes and Triton show, as the engine's values."""
