"""Transforms: rows of some containers grouped and worked out into another one, once or for ever.

`TransformService(store, now_ms=...)` keeps them, runs them and tells of them.
"""

from gridwatch.jobs.transform.config import TransformConfig, parse_transform
from gridwatch.jobs.transform.resources import Transform
from gridwatch.jobs.transform.runs import Ran
from gridwatch.jobs.transform.service import TransformService

__all__ = ["Ran", "Transform", "TransformConfig", "TransformService", "parse_transform"]
