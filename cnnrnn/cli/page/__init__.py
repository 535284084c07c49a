"""The pages that commands write: one HTML file that needs nothing else."""

from cnnrnn.cli.page.card import Answered
from cnnrnn.cli.page.document import write_page
from cnnrnn.cli.page.report import write_report

__all__ = ["Answered", "write_page", "write_report"]
