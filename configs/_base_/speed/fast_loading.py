# Load training images faster: --speed fast-loading, or one more line of a config's `_base_`.
# Boxes stay the same to the bit. Photos at least 2.7 times as large as the network gets them are
# decoded at a reduced scale, which changes pixels a little; --cfg-options
# fast_loading.reduced_decode=False leaves that out. See docs/benchmarks.md, "Loader".
fast_loading = dict(reduced_decode=True)
