"""Networks as plain data, which files hold: `writing`, `reading`, and what both know."""
