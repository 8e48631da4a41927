"""The analysis of a job: buckets of many series, judged by `gridwatch.detectors`, without store or clock."""

from gridwatch.jobs.analysis.analyzer import Analyzer, Counts
from gridwatch.jobs.analysis.results import Bucket, Influence, InfluencerResult, ModelPlot, Record, Results

__all__ = ["Analyzer", "Bucket", "Counts", "Influence", "InfluencerResult", "ModelPlot", "Record", "Results"]
