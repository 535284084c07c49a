"""The demo's page: one HTML file that needs nothing else."""

from cnnrnn.cli.page.document import Answered, write_page

__all__ = ["Answered", "write_page"]
