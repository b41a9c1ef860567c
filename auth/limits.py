"""What is counted against guessing and against mails that nobody asked for."""

from uuid import UUID

from auth.names import normalised_email
from auth.throttle import Bucket, place_of
from settings import Settings


class Limits:
    """Names the counters of an attempt; all of them forget after `sign_in_window_seconds`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def guesses_at(self, email: str) -> Bucket:
        """Passwords tried on one account, whether it exists or not."""
        return self._bucket("sign_in_account", normalised_email(email).lower(), self._settings.sign_in_account_attempts)

    def guesses_from(self, address: str) -> Bucket:
        """Passwords tried from one address."""
        return self._bucket("sign_in_address", place_of(address), self._settings.sign_in_address_attempts)

    def mails_for(self, address: str) -> Bucket:
        """Accounts and mails that one address asks for."""
        return self._bucket("sign_up_address", place_of(address), self._settings.sign_up_address_attempts)

    def resets_of(self, email: str) -> Bucket:
        """Reset mails to one account, whether it exists or not."""
        return self._bucket("password_reset", normalised_email(email).lower(), self._settings.sign_in_account_attempts)

    def invitations_of(self, tenant_id: UUID) -> Bucket:
        """Invitations, which go to strangers: a tenant sends as many as an address may ask for mails."""
        return self._bucket("invitations", str(tenant_id), self._settings.sign_up_address_attempts)

    def _bucket(self, name: str, key: str, limit: int) -> Bucket:
        return Bucket(name, key, limit, self._settings.sign_in_window_seconds)
