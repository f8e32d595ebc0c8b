"""Stand-ins for serving engines that need a GPU: their own metrics, from batching that really happens."""
