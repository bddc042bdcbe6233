# Load training images faster: one more line of a config's `_base_`, or --cfg-options
# fast_loading=True. Boxes stay the same to the bit. Photos at least 2.7 times as large as the
# network gets them are decoded at a reduced scale, which changes pixels a little:
# fast_loading = dict(reduced_decode=False) leaves that out. See docs/benchmarks.md, "Loader".
fast_loading = True
