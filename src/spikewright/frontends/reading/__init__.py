"""The grammar that all readers share: what a foreign call means, in layers of the graph."""
