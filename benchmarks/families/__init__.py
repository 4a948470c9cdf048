"""Whole families of published networks: read, verified against their framework, made spiking.

Who is a member stands in a table for each place that networks are from (`of_torchvision.py` and so
on); `origins.py` has all of them, `measuring.py` what is done with one, `page.py` what is written.
"""
