"""Jobs, datafeeds and transforms kept as files, in Git: read, held against what is stored, and made so."""

from gridwatch.jobs.files.plan import Plan, plan
from gridwatch.jobs.files.reading import Resource, read_resources
from gridwatch.jobs.files.steps import Change, Step

__all__ = ["Change", "Plan", "Resource", "Step", "plan", "read_resources"]
