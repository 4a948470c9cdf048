"""Records as tables, figures and pages: what is shown is plain data, drawing it is separate."""

from spikewright.report.page import check_target, write_html

__all__ = ["check_target", "write_html"]
