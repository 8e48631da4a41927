"""Jobs and datafeeds alive: made, opened, fed, stopped and deleted, over one store; REST, CLI and flows call this."""

from gridwatch.jobs.service.feeds import Pass
from gridwatch.jobs.service.runner import Outcome, Runner
from gridwatch.jobs.service.service import JobsService

__all__ = ["JobsService", "Outcome", "Pass", "Runner"]
