"""What there is to read about PENNY, and `website`, which makes a site of it."""
