"""Configs of jobs and datafeeds: Elasticsearch's JSON, read strictly."""

from gridwatch.jobs.config.datafeed import DatafeedConfig, check_together, parse_datafeed
from gridwatch.jobs.config.detector import Detector
from gridwatch.jobs.config.job import JobConfig, parse_job

__all__ = ["DatafeedConfig", "Detector", "JobConfig", "check_together", "parse_datafeed", "parse_job"]
