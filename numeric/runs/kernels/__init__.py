"""Generated kernels; written by `momentumflow kernels`, never by hand."""
