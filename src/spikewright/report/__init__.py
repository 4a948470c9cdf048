"""Records as tables, figures and pages: contents are plain data, drawing is separate."""

from spikewright.report.page import check_target, write_html

__all__ = ["check_target", "write_html"]
