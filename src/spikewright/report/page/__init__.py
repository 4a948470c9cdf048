"""A page: everything about a spiking network in one HTML file, made from records."""

from spikewright.report.page.document import PAGE, write_html

__all__ = ["PAGE", "write_html"]
