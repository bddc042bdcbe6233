"""A trained detector as files that load without this package.

stock_model says what of it is left at test time, to_mmdet and the like write one format each, and
compare shows that the files detect the same.
"""
