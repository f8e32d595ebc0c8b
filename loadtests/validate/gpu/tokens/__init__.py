"""A real decoder on a real GPU behind continuous batching, beside what forescale takes such an engine for."""
