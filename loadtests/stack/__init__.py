"""The local real stack: a Kubernetes control plane, Prometheus and Triton servers as ordinary processes on loopback."""
