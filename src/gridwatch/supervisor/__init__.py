"""Starts, watches and stops what the platform needs: `up`, `down`, `status`."""

from gridwatch.supervisor.daemon import down, start_detached, wait_settled
from gridwatch.supervisor.platform import Platform, plan, with_addresses
from gridwatch.supervisor.state import PlatformState, ServiceState, State, hold, read_state
from gridwatch.supervisor.watch import BackOff, Service, Supervisor

__all__ = [
    "BackOff",
    "Platform",
    "PlatformState",
    "Service",
    "ServiceState",
    "State",
    "Supervisor",
    "down",
    "hold",
    "plan",
    "read_state",
    "start_detached",
    "wait_settled",
    "with_addresses",
]
