"""`forescale doctor`: what stands in the way of forescale in this cluster, each finding with its remedy. Reads only."""
