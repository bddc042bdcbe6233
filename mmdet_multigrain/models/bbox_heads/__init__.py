"""Box heads that replace the stock ones in StandardRoIHead and CascadeRoIHead."""
