"""Envelope encryption: a key-encryption key wraps one data key per tenant and version, and the data key encrypts rows.

`ciphers` encrypts and decrypts with keys in hand, `keyring` fetches, unwraps and remembers them, `providers` opens the
key-encryption key that the settings name: a `local_key` in a file, or a `kms_key` of AWS.
"""
