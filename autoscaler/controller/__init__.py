"""The shell around the engine: observes, lets it decide, writes what it decided, and keeps a record of all three."""
