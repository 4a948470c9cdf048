"""Records as tables and figures: what is shown is plain data, drawing it is separate."""
