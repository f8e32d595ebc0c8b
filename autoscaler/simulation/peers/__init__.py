"""Other autoscalers' rules as they are documented, one in each file, and forescale's own engine as one more policy."""
