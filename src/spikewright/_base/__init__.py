"""Helpers of every part of the line: files, arrays, words, optional packages."""
