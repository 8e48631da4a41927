"""What a failure of the store is to a client: its own fault, or something that may be over when it asks again."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridwatch.containers._sqlite_session import wrapped
from gridwatch.errors import StoreError
from gridwatch.server.griddb_webapi.errors import of_store


@pytest.mark.parametrize("said", ["database or disk is full", "disk I/O error"])
def test_a_full_disk_is_no_fault_of_the_request(said: str) -> None:
    import adbc_driver_manager

    error = adbc_driver_manager.OperationalError(said, status_code=adbc_driver_manager.AdbcStatusCode.IO)
    with pytest.raises(StoreError, match="free") as caught, wrapped(Path("/data/store.db")):
        raise error
    answer = of_store(caught.value)
    assert (answer.status, answer.code) == (500, 0)
    assert "/data" not in answer.message
    assert of_store(StoreError("No such thing.")).status == 400
