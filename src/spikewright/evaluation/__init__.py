"""Evaluation over data sets of any size: shards, which merge exactly, wherever they are done."""
