"""The native engine: C++ kernels whose cost follows the spikes.

`engine.NativeEngine` needs the extension `_kernels`, which is built on installing. This package can
be imported without it, to find out whether the extension exists.
"""
