"""The contestants of `benchmarks.peers`, one library a file, each run by a process of its own."""
