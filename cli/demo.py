"""Somebody to sign in as: signs the demo account up, through the works."""

from errors import Conflict
from settings import Settings
from web.works import open_works


async def sign_up(settings: Settings, *, email: str, password: str) -> None:
    """Make the account and its tenant; an account that is there already stays as it is."""
    async with open_works(settings, application="penny dev") as process:
        try:
            await process.works.accounts.sign_up(
                email=email,
                password=password,
                name="Demo",
                tenant_name="Demo",
                invitation_token=None,
                transport="BEARER",
                address="127.0.0.1",
                user_agent="penny dev",
            )
        except Conflict:
            return
