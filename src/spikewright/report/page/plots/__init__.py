"""One figure a file: its drawing, its legend, and a description in words."""
