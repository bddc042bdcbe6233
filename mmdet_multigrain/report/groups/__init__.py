"""Groups that the data suggests: what they are found in, how they do on other photos, a figure."""
