"""`make bench-policies`: forescale beside every peer, under recorded demand. docs/simulation.md has the protocol."""
