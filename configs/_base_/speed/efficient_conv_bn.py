# Batch norm that does not learn its statistics (norm_eval=True) goes into its convolution.
efficient_conv_bn_eval = ['backbone']
