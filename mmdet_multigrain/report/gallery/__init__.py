"""Galleries of photos with detections next to the ground truth."""
