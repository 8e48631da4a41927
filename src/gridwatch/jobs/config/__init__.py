"""Configs of jobs and datafeeds: Elasticsearch's JSON, read strictly."""

from gridwatch.jobs.config.datafeed import DatafeedConfig, check_together, parse_datafeed
from gridwatch.jobs.config.detector import Detector
from gridwatch.jobs.config.job import JobConfig, parse_job
from gridwatch.jobs.config.making import check_new, check_own_settings

__all__ = [
    "DatafeedConfig",
    "Detector",
    "JobConfig",
    "check_new",
    "check_own_settings",
    "check_together",
    "parse_datafeed",
    "parse_job",
]
