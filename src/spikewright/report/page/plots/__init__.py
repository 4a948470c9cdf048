"""One figure a file: its drawing, what its marks mean, and what there is to see, in words."""
