"""A datafeed's aggregations: read strictly, checked against the job, and worked out where the rows are.

`check_aggregations(job, feed)` returns the `Plan` or says what to change. `scans` turn a plan into GROUP BY for each
container, and `merging` puts the answers together: one flat row for each innermost bucket.
"""

from gridwatch.jobs.aggregations.checks import check_aggregations, interval_of
from gridwatch.jobs.aggregations.plan import Plan, plan_of
from gridwatch.jobs.aggregations.reading import read_aggregations

__all__ = ["Plan", "check_aggregations", "interval_of", "plan_of", "read_aggregations"]
