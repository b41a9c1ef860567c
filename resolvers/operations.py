"""What a resolver is given: one operation's viewer, works, loaders and tenant scopes."""

from dataclasses import dataclass, field
from math import ceil
from uuid import UUID

from auth.accounts import Accounts
from auth.api_keys import ApiKeys
from auth.encryption.keyring import Keyring
from auth.invitations import Invitations
from auth.members import Members
from auth.rates import Charge, RateLimits
from auth.sessions import Sessions
from auth.tenant_settings import TenantChanges
from auth.viewers import Viewer
from chat.assistants import Assistants
from chat.compactions import Compactions
from chat.conversations import Conversations
from chat.estimates import Estimates
from chat.exports import Exports
from chat.feedback import Opinions
from chat.forecasts import Forecasts
from chat.forks import Forks
from chat.guests import Guests
from chat.ideas import Ideas
from chat.interventions import Interventions
from chat.logs import RunLogs
from chat.participants import Participants
from chat.redactions import Redactions
from chat.shares import Shares
from chat.trees import Trees
from db.replicas import Replica
from db.scopes import Reads, TenantScopes
from errors import RateLimited, Unauthenticated
from events.feeds import Feeds
from events.jobs import Jobs
from gateway.judging import Judge
from gateway.manifests import Manifests
from gateway.registry import Registry
from inference.credentials import Credentials
from inference.custom_models import CustomModels
from inference.offers import Models
from inference.policies import RoutingPolicies
from inference.routing import Router
from knowledge.search import Search
from loaders.loaders import Loaders
from settings import Settings


@dataclass(frozen=True)
class Works:
    """Everything that is built once a process and does the work."""

    settings: Settings
    scopes: TenantScopes
    keyring: Keyring
    accounts: Accounts
    sessions: Sessions
    api_keys: ApiKeys
    invitations: Invitations
    members: Members
    conversations: Conversations
    trees: Trees
    forks: Forks
    assistants: Assistants
    compactions: Compactions
    participants: Participants
    interventions: Interventions
    opinions: Opinions
    redactions: Redactions
    exports: Exports
    shares: Shares
    guests: Guests
    logs: RunLogs
    jobs: Jobs
    feeds: Feeds
    rates: RateLimits
    models: Models
    search: Search
    credentials: Credentials
    custom_models: CustomModels
    ideas: Ideas
    estimates: Estimates
    policies: RoutingPolicies
    router: Router
    forecasts: Forecasts
    tenant_changes: TenantChanges
    documents: Registry
    manifests: Manifests
    judge: Judge | None = None
    replica: Replica | None = None


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Where a request came from; `address` is the client's, behind trusted proxies."""

    address: str
    user_agent: str | None
    request_id: str


@dataclass(kw_only=True)
class Operation:
    """One operation: made for it and thrown away with it, never kept for a socket.

    `refusal` is why a cookie that came along no longer counts: public operations such as `signIn` run all the same. `is_query` lets it
    read from a replica; what writes, or goes on, reads from the primary. `document` is the text that was admitted.
    """

    works: Works
    caller: Caller
    credential: Viewer | None
    refusal: Unauthenticated | None = None
    is_query: bool = False
    document: str | None = field(default=None, repr=False)
    loaders: Loaders | None = None
    session_cookie: str | None = field(default=None, repr=False)
    charge: Charge | None = None
    _reads: Reads | None = None

    @property
    def viewer(self) -> Viewer:
        """The signed-in viewer; raises `Unauthenticated` without one."""
        if self.credential is None:
            raise self.refusal or Unauthenticated
        return self.credential

    @property
    def tenant_id(self) -> UUID:
        """The viewer's tenant."""
        return self.viewer.tenant_id

    @property
    def reads(self) -> Reads:
        """Where this operation reads."""
        if self._reads is None:
            replica = self.works.replica
            self._reads = replica.reads() if replica is not None and self.is_query else self.works.scopes
        return self._reads

    async def pay(self, points: int) -> None:
        """Pay for what the document's cost does not tell; raises `RateLimited`."""
        if not points:
            return
        try:
            await self.works.rates.charge(self.credential, self.caller.address, points)
        except RateLimited as refused:
            if (charge := self.charge) is not None:
                # The same operation, sent again, pays for itself before it comes here.
                refused.retry_after_ms += ceil(1000 * charge.requested / charge.restore_per_second)
            raise

    @property
    def questions(self) -> Loaders:
        """The loaders of this operation, bound to the viewer's tenant."""
        if self.loaders is None:
            self.loaders = Loaders(self.reads, self.tenant_id)
        return self.loaders

    def keep_session(self, token: str | None) -> None:
        """Ask the door to set the session cookie (an empty text removes it)."""
        self.session_cookie = token
