"""RoI extractors that replace the stock one in StandardRoIHead."""
