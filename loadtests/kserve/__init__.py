"""A stand-in for KServe's controller, which can't be had as a package."""
