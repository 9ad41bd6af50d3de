"""A project to report on is made as those of the tests of sessions."""

from tests.session.conftest import image, session, tissue

__all__ = ["image", "session", "tissue"]
