"""Open-loop load on model servers: requests leave when they are due, however slow the answers are."""
