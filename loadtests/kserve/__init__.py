"""Stand-ins for KServe's controller and for Knative, which can't be had as packages."""
