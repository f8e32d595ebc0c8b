"""Step 8: how much capacity to ask the node autoscaler for, where, and what may be given back. Pure."""
