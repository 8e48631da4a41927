"""What a datafeed reads from the store: the rows that it wants, with the fields that its job needs, in time order."""

from gridwatch.jobs.extraction.extraction import Extraction

__all__ = ["Extraction"]
