"""Open-loop load on Triton servers: requests leave when they are due, however slow the answers are."""
