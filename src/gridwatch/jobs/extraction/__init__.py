"""What a datafeed reads from the store: the rows that it wants, with the fields that its job needs, in time order."""

from gridwatch.jobs.extraction.extraction import Extraction
from gridwatch.jobs.extraction.sources import check_asked

__all__ = ["Extraction", "check_asked"]
