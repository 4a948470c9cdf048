"""Records as tables, figures and pages: contents are plain data, drawing is separate."""

from spikewright.report.page import write_html

__all__ = ["write_html"]
