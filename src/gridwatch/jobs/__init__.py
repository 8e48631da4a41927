"""Elasticsearch's anomaly-detection jobs, datafeeds and transforms, running on GridDB containers."""
