"""One page that shows what is wrong with predictions: `write_report`."""

from knet.report.data import Run
from knet.report.page import write_report

__all__ = ['Run', 'write_report']
