"""The tables of the migration pages, row by row, against the packages that they are about."""
