"""Opens the key-encryption key that the settings name."""

from auth.encryption.key_encryption import KeyEncryptionKey
from auth.encryption.kms_key import KmsKey
from auth.encryption.local_key import LocalKey
from settings import Settings, SettingsError


def open_key_encryption_key(settings: Settings) -> KeyEncryptionKey:
    """The key of `key_provider`; a missing key file is made in development only. Raises `SettingsError`."""
    if settings.key_provider == "aws_kms":
        if not settings.kms_key_id:
            raise SettingsError("PENNY_KMS_KEY_ID is not set: PENNY_KEY_PROVIDER=aws_kms needs it.")
        return KmsKey(settings)
    return LocalKey.open(settings.key_file, create=settings.is_development)
