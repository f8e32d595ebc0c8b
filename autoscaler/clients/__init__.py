"""Third-party clients, each in one module; their types and errors never leave it."""
