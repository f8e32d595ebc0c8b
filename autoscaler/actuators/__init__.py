"""From actions to writes: one class for each kind, idempotent, with a precondition on what was seen."""
