"""End-to-end runs on the local real stack: two controllers, real servers, real load, faults - and a verdict."""
