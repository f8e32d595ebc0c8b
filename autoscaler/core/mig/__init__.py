"""MIG: which slices a GPU can be cut into, what a slice carries, and which mix of slices is cheapest."""
