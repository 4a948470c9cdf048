"""Networks made by hand: ready-made parts, semantic pointers, Nengo's models."""
