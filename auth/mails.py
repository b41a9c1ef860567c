"""The texts of mails about accounts; every link begins with `public_url`, never with what a request says of itself.

Tokens stand after `#`: browsers send that part to no server, so no log and no `Referer` has it.
"""

from typing import Final

from auth.mailer import Mail
from settings import Settings

_LONGEST_NAME: Final = 80


def invitation_mail(settings: Settings, *, to: str, tenant: str, invited_by: str, token: str) -> Mail:
    """Asks someone to join a tenant; `tenant` and `invited_by` are names that strangers chose."""
    tenant, invited_by = _name(tenant), _name(invited_by)
    return Mail(
        to,
        f"{invited_by} invites you to {tenant} on PENNY",
        f"""Hello,

{invited_by} invites you to join {tenant} on PENNY. To accept, open:

{_link(settings, "invitation", token)}

The link works once, within {_time(settings.invitation_hours * 60)}. If you do not know {invited_by}, ignore this mail: nothing
happens without you.
""",
    )


def verification_mail(settings: Settings, *, to: str, name: str, token: str) -> Mail:
    """Asks the owner of an address to confirm it."""
    return Mail(
        to,
        "Confirm your e-mail address",
        f"""Hello {_name(name)},

please confirm that this is your e-mail address:

{_link(settings, "verify", token)}

The link works once, within {_time(settings.email_verification_hours * 60)}. If you have not signed up for PENNY, ignore this mail.
""",
    )


def reset_mail(settings: Settings, *, to: str, name: str, token: str) -> Mail:
    """Lets the owner of an account choose a new password."""
    return Mail(
        to,
        "Choose a new password",
        f"""Hello {_name(name)},

someone, most likely you, asked for a new password for your PENNY account. To choose one, open:

{_link(settings, "reset", token)}

The link works once, within {_time(settings.password_reset_minutes)}. If it was not you, ignore this mail: your password stays as it is.
""",
    )


def password_changed_mail(settings: Settings, *, to: str, name: str) -> Mail:
    """Tells the owner of an account that its password is another now."""
    return Mail(
        to,
        "Your password was changed",
        f"""Hello {_name(name)},

the password of your PENNY account was just changed, and every other session of it has ended.

If it was not you, choose a new password at once:

{settings.public_url.rstrip("/")}/reset
""",
    )


def _link(settings: Settings, page: str, token: str) -> str:
    return f"{settings.public_url.rstrip('/')}/{page}#token={token}"


def _name(text: str) -> str:
    """A stranger's text as one short line: it cannot add paragraphs, headers or an invisible part to the mail."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1].rstrip() + "…"


def _time(minutes: int) -> str:
    """A span in the greatest unit that divides it."""
    for unit, length in (("day", 1440), ("hour", 60)):
        if minutes >= length and minutes % length == 0:
            return _counted(minutes // length, unit)
    return _counted(minutes, "minute")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
