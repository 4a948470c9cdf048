"""What every part of the line uses: files, arrays, words, optional packages."""
