"""The stack's kubelet: virtual GPU nodes, and a real tritonserver process for each pod that is bound to them."""
