"""RoI heads that hand on what stock ones keep: facts about images, and where detections come from."""
