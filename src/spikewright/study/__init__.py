"""Studies: settings of a conversion measured on the same samples, and the best of them."""
