"""The part of a check that runs in a reader's own environment.

It needs that reader, nir and NumPy, and nothing of this project: the process finds it by its folder
alone. `python -m runner JOB` runs the reader that the job names.
"""
