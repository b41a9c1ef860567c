"""Who is asking: passwords, tokens, encryption, mails and throttling."""
