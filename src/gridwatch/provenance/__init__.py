"""Where anomalies come from: the chain of what led to one, each link checked, and its score computed again."""

from gridwatch.provenance.chain import explain
from gridwatch.provenance.link import Chain, Link, Status
from gridwatch.provenance.replay import Compared, Replay, replay
from gridwatch.provenance.subject import Subject, find_subject, subjects

__all__ = ["Chain", "Compared", "Link", "Replay", "Status", "Subject", "explain", "find_subject", "replay", "subjects"]
