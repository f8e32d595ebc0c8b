"""A real network on a real GPU behind real Triton, beside what forescale takes such a server for."""
