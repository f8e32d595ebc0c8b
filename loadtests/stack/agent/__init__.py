"""The stack's kubelet: virtual GPU nodes, and a real model server process for each pod that is bound to them."""
