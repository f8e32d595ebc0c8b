"""`make bench-policies`: forescale beside every peer, under recorded demand. docs/comparison.md has the protocol."""
