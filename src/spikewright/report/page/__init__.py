"""A page: everything about a spiking network in one HTML file, made from records."""

from spikewright.report.page.document import write_html
from spikewright.report.page.target import check_target

__all__ = ["check_target", "write_html"]
