"""Galleries of photos with detections beside the truth."""
