"""Measurements of a model made elsewhere, read as what forescale believes until it has measured itself."""
