"""The native engine: C++ kernels whose cost is proportional to the number of spikes.

`engine.NativeEngine` needs the extension `_kernels`, which is built on installing. This package can
be imported without it, to find out whether the extension exists.
"""
