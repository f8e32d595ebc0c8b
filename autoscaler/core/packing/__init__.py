"""Packing: which replicas on which slices and which GPUs cut how; formulated and checked here, solved elsewhere."""
