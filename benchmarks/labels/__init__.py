"""What labels of any granularity, and parts of them, bring."""
