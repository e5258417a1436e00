from tests.unit.sample_app.conftest import client, connect

__all__ = ["client", "connect"]
