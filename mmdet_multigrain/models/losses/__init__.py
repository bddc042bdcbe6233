"""Classification losses over the levels of a taxonomy, and how levels become probabilities."""
