"""The rules that an audit judges by: those that were noted, or nothing is judged."""

import pytest

from ops.audit.reading.snapshot import noted_rules
from schemas.configuration import Context, read_configuration
from schemas.errors import DropstreamError
from tests.support.ports import free_ports


async def test_rules_that_cannot_be_read_are_not_taken_for_none() -> None:
    """Without them an audit would judge by the rules of today, and call right records altered."""
    port = free_ports(1)
    text = f'[kafka]\nbootstrap_servers = "127.0.0.1:{port}"\n[endpoints]\n'
    settings = read_configuration(text, source="test", context=Context({}, ()))
    with pytest.raises(DropstreamError, match=f"cannot reach Kafka at 127.0.0.1:{port}"):
        await noted_rules(settings)
