"""Files and versioned things made in a chat, and the bytes in S3."""
