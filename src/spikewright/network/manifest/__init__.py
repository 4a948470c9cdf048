"""Networks as plain data, which files hold: `writing`, `reading`, and their registries."""
