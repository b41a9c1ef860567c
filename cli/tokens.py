"""The token of the last sign-in, in a file that only its owner may read."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class SignedIn:
    """Who is signed in where; a token is for its server and never sent to another."""

    url: str
    email: str
    token: str = field(repr=False)


def file() -> Path:
    """Where the token is kept."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "penny" / "token"


def load(url: str, email: str | None) -> SignedIn | None:
    """Return the sign-in at this server, of this person where one is named; a file that is no use counts as none."""
    try:
        kept = SignedIn(**json.loads(file().read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return kept if kept.url == url and email in (None, kept.email) else None


def save(signed_in: SignedIn) -> None:
    """Keep the sign-in in place of the last one."""
    file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file().with_name(f"token.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump(asdict(signed_in), output)
    draft.replace(file())
