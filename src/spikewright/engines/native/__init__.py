"""The native engine: C++ kernels whose cost follows the spikes.

`engine.NativeEngine` needs the extension `_kernels`, which is built on installing; this package can
be imported without it, so that one can look whether it is there.
"""
