"""The pure core: decisions as values computed from values. Standard library only, no I/O, no clock, no randomness."""
