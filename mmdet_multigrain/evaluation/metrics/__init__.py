"""The metric that MMDetection builds, registered in its `METRICS`."""
