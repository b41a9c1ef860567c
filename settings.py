"""One frozen `Settings`, read once from the environment (`PENNY_…`); a wrong value stops the start with one clear line.

`PENNY_<NAME>_FILE` names a file that holds the value of `PENNY_<NAME>`, for secrets. Unknown `PENNY_` names are refused,
so that a spelling mistake never passes for a default. `docs/settings.md` is generated from this file.
"""

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

PREFIX = "PENNY_"


class SettingsError(Exception):
    """The environment does not make valid settings; the text is one line for the person who starts PENNY."""


class Secret(str):
    """A value that is never shown: its `repr` is stars, so that no log or traceback carries it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


def setting(
    description: str,
    *,
    default: Any = MISSING,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare a setting; without a default it must be given. `minimum` and `maximum` are inclusive."""
    metadata = {"description": description, "choices": choices, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that can be set, with its default, unit and limits."""

    environment: str = setting(
        "`development` shows the mail page and allows plain HTTP cookies.", default="production", choices=("development", "production")
    )
    public_url: str = setting(
        "The address that users see; links in mails and cookie security follow from it.", default="http://localhost:8000"
    )
    host: str = setting("Address that the web process binds to.", default="127.0.0.1")
    port: int = setting("Port that the web process binds to.", default=8000, minimum=0, maximum=65535)
    allowed_origins: tuple[str, ...] = setting(
        "Other origins whose pages may use the API and WebSockets with the session cookie (CORS), separated by commas.", default=()
    )
    log_level: str = setting("Least severity that is logged.", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = setting("`json` for machines, `console` for people.", default="json", choices=("json", "console"))
    metrics_address: str = setting(
        "Host and port at which a process shows its metrics to Prometheus, such as `127.0.0.1:9464`; empty: nowhere. Whoever reaches it "
        "may read them, so it belongs where strangers do not come.",
        default="",
    )
    metrics_ports: int = setting(
        "How many ports from that one on a process tries until one is free: processes of one machine take one each.",
        default=16,
        minimum=1,
        maximum=1000,
    )
    metrics_stop_seconds: float = setting(
        "How long a stopping process waits for a collector to take its last metrics, in seconds.", default=2.0, minimum=0.1, maximum=60
    )
    graphiql: bool = setting("Serve GraphiQL at `/graphiql`.", default=True)
    introspection: bool = setting(
        "Answer introspection queries, and say what of the schema a mistaken document missed; without it only where the mistake is.",
        default=True,
    )

    database_url: Secret = setting("PostgreSQL address as the role `penny_app`: web and worker.")
    database_system_url: Secret = setting("PostgreSQL address as the role `penny_system`: sign-in, keys, sweeps.")
    database_owner_url: Secret = setting("PostgreSQL address as the role `penny_owner`: migrations only.", default=Secret(""))
    database_pool_size: int = setting("Connections a process keeps as `penny_app`.", default=8, minimum=1, maximum=200)
    database_system_pool_size: int = setting("Connections a process keeps as `penny_system`.", default=3, minimum=1, maximum=50)
    database_connect_seconds: float = setting("Longest wait for a new connection, in seconds.", default=2.0, minimum=0.1, maximum=60)
    database_statement_seconds: float = setting("Longest run of one statement, in seconds.", default=5.0, minimum=0.1, maximum=600)
    database_acquire_seconds: float = setting(
        "Longest wait for a free connection of the pool, in seconds.", default=2.0, minimum=0.1, maximum=60
    )

    database_replica_url: Secret = setting(
        "PostgreSQL address of a streaming replica, or of several behind one name, as the role `penny_app`: queries read there what it "
        "has replayed. The same in every process, the worker too; empty: none.",
        default=Secret(""),
    )
    database_replica_lag_seconds: float = setting(
        "How far a replica may be behind and still be read, in seconds; the same in every process.", default=1.0, minimum=0.1, maximum=60
    )

    valkey_url: Secret = setting("Valkey address: `valkey://host:port/0`, `valkeys://…` or `unix:///path?db=0`.")
    valkey_prefix: str = setting("What every key in Valkey begins with.", default="penny")
    valkey_timeout_seconds: float = setting("Longest wait for an answer of Valkey, in seconds.", default=2.0, minimum=0.1, maximum=60)

    s3_endpoint: str = setting("Address of the S3 service; empty means AWS.", default="")
    s3_region: str = setting("Region of the bucket.", default="us-east-1")
    s3_bucket: str = setting("The bucket for files, exports and backups.", default="penny")
    s3_access_key: Secret = setting("Access key; empty uses the machine's own role.", default=Secret(""))
    s3_secret_key: Secret = setting("Secret of the access key.", default=Secret(""))

    key_provider: str = setting("Where the key-encryption key lives.", default="local", choices=("local", "aws_kms"))
    key_file: Path = setting(
        "The local key-encryption key: 32 bytes, readable by its owner only.", default=Path(".penny/key-encryption.key")
    )
    kms_key_id: str = setting("The AWS KMS key's id or ARN, with `key_provider=aws_kms`.", default="")
    kms_region: str = setting("The AWS KMS key's region; empty uses `s3_region`.", default="")
    kms_endpoint: str = setting("Address of the KMS service; empty means AWS.", default="")
    key_cache_seconds: float = setting(
        "How long a process keeps an unwrapped tenant key, in seconds.", default=300.0, minimum=1, maximum=86400
    )
    key_cache_tenants: int = setting("How many tenants' keys a process keeps.", default=10_000, minimum=1, maximum=10_000_000)

    session_hours: int = setting("Life of a session, in hours.", default=720, minimum=1, maximum=8760)
    session_cache_seconds: float = setting(
        "How long a web process trusts a session it has just checked, in seconds; revocation is pushed.",
        default=30.0,
        minimum=0,
        maximum=600,
    )
    invitation_hours: int = setting("Life of an invitation, in hours.", default=168, minimum=1, maximum=8760)
    email_verification_hours: int = setting("Life of an e-mail verification link, in hours.", default=48, minimum=1, maximum=8760)
    password_reset_minutes: int = setting("Life of a password reset link, in minutes.", default=60, minimum=1, maximum=10080)
    password_min_length: int = setting("Shortest password, in characters (NIST SP 800-63B).", default=10, minimum=8, maximum=64)
    password_memory_kib: int = setting("Argon2id memory, in KiB (OWASP's minimum).", default=19_456, minimum=8, maximum=4_194_304)
    password_time_cost: int = setting("Argon2id passes over the memory (OWASP's minimum).", default=2, minimum=1, maximum=100)
    password_workers: int = setting("Passwords hashed at once in a process.", default=2, minimum=1, maximum=64)
    sign_in_account_attempts: int = setting("Failed sign-ins of one account before it must wait.", default=10, minimum=1, maximum=10_000)
    sign_in_address_attempts: int = setting(
        "Failed sign-ins of one address before it must wait.", default=100, minimum=1, maximum=1_000_000
    )
    sign_in_window_seconds: int = setting("Window in which failed sign-ins count, in seconds.", default=900, minimum=1, maximum=86_400)
    sign_up_address_attempts: int = setting(
        "Accounts and mails that one address may ask for in the window.", default=100, minimum=1, maximum=1_000_000
    )
    trusted_proxies: tuple[str, ...] = setting("Addresses whose `X-Forwarded-For` is believed, separated by commas.", default=())
    member_api_keys: int = setting("Most API keys of a member that have not ended.", default=50, minimum=0, maximum=100_000)
    api_key_rotation_hours: int = setting(
        "How long a rotated API key's old secret still works, in hours.", default=24, minimum=0, maximum=720
    )

    mail_from: str = setting("Sender of mails.", default="PENNY <penny@localhost>")
    smtp_host: str = setting("SMTP server; empty prints mails (development only).", default="")
    smtp_port: int = setting("Port of the SMTP server.", default=587, minimum=1, maximum=65535)
    smtp_username: str = setting("Account at the SMTP server; empty sends without signing in.", default="")
    smtp_password: Secret = setting("Password at the SMTP server.", default=Secret(""))
    smtp_security: str = setting("How the connection is protected.", default="starttls", choices=("starttls", "tls", "none"))
    mail_attempts: int = setting("How often a mail is tried before it is given up.", default=8, minimum=1, maximum=100)

    model_provider: str = setting(
        "Which model answers: any OpenAI-compatible endpoint (the embedded one too), OpenAI's responses, Anthropic's messages, or the "
        "scripted one.",
        default="openai",
        choices=("openai", "responses", "anthropic", "scripted"),
    )
    model_base_url: str = setting("The model's endpoint, up to and with `/v1`.", default="https://api.openai.com/v1")
    model_api_key: Secret = setting("Its key.", default=Secret(""))
    model_name: str = setting("The model's name there.", default="gpt-4o-mini")
    model_context_tokens: int = setting("The model's context window, in tokens.", default=128_000, minimum=256, maximum=100_000_000)
    model_max_output_tokens: int = setting("Longest answer, in tokens.", default=4096, minimum=1, maximum=1_000_000)
    model_connect_seconds: float = setting(
        "Longest wait for a connection to the model, in seconds.", default=10.0, minimum=0.1, maximum=600
    )
    model_first_token_seconds: float = setting(
        "Longest wait for a model's first token, from the question on, in seconds.", default=120.0, minimum=0.1, maximum=3600
    )
    model_silence_seconds: float = setting(
        "Longest silence of a model that has been asked, in seconds.", default=120.0, minimum=0.1, maximum=3600
    )
    model_prefills: bool = setting(
        "The endpoint goes on from an assistant's message at the end, as llama.cpp does: a run whose worker was lost is then continued "
        "where it was, and else ends as INCOMPLETE with what was said.",
        default=False,
    )
    estimate_output_tokens: int = setting(
        "How long an answer is taken to be for an estimate, in tokens, where its person had none of its model before.",
        default=500,
        minimum=1,
        maximum=1_000_000,
    )
    model_private_endpoints: tuple[str, ...] = setting(
        "Origins inside your network, such as `http://vllm.internal:8000`, that tenants may name as model endpoints, separated by commas; "
        "all others must be public https addresses.",
        default=(),
    )
    tenant_providers: int = setting("Most model providers of a tenant's own.", default=50, minimum=0, maximum=1000)
    tenant_models: int = setting("Most models of a tenant's own.", default=200, minimum=0, maximum=10_000)
    tenant_deployments: int = setting("Most deployments of a model of a tenant's own.", default=20, minimum=1, maximum=1000)
    tenant_credentials: int = setting(
        "Most keys at model providers that a tenant, or a member, keeps.", default=50, minimum=0, maximum=1000
    )
    tenant_prices: int = setting("Most prices that a tenant sets, over all models and times.", default=2000, minimum=0, maximum=100_000)
    tenant_policies: int = setting("Most routing policies of a tenant.", default=50, minimum=0, maximum=1000)
    model_cache_seconds: float = setting(
        "How long a process trusts what it read of a tenant's models, in seconds; changes are pushed.",
        default=60.0,
        minimum=0,
        maximum=3600,
    )
    model_cache_members: int = setting(
        "Of how many members a process remembers what they can ask.", default=2000, minimum=1, maximum=1_000_000
    )
    models_file: Path = setting(
        "TOML file of further models that every tenant can ask: deployments, models that the catalogue lacks, own prices. See "
        "`docs/operating.md`; empty means none.",
        default=Path(),
    )
    deployment_stats_attempts: int = setting(
        "By how many of the latest attempts in a span `DeploymentStats` measures a deployment at most.",
        default=10_000,
        minimum=1,
        maximum=1_000_000,
    )
    model_key_use_seconds: float = setting(
        "How often at most it is written down that a key at a provider was used (`ProviderCredential.lastUsedAt`), in seconds.",
        default=60.0,
        minimum=0,
        maximum=86_400,
    )
    model_failures: int = setting("After so many failures in a row a deployment of a model cools down.", default=3, minimum=1, maximum=1000)
    model_cooldown_seconds: float = setting(
        "How long a deployment cools down at first, in seconds; twice as long after each probe that fails.",
        default=5.0,
        minimum=0.01,
        maximum=3600,
    )
    model_cooldown_most_seconds: float = setting(
        "Longest cooldown of a deployment that did not ask for a longer one itself, in seconds.",
        default=300.0,
        minimum=0.01,
        maximum=86_400,
    )
    model_retry_after_most_seconds: float = setting(
        "Longest pause that a deployment is given because it asked for one (`Retry-After`), in seconds: then it is probed.",
        default=600.0,
        minimum=0.01,
        maximum=86_400,
    )
    model_patience_seconds: float = setting(
        "How long a run waits for a deployment that cools down, is probed or is at its limit, in seconds, before it fails.",
        default=15.0,
        minimum=0,
        maximum=600,
    )
    model_backoff_ms: float = setting(
        "Pause before the same deployment is asked again, in milliseconds; twice as long each time, and shortened at random by up to half.",
        default=250.0,
        minimum=0,
        maximum=60_000,
    )
    model_retries: int = setting(
        "Most attempts of a run after its first, where no routing policy says otherwise.", default=2, minimum=0, maximum=20
    )
    route_sticky_seconds: int = setting(
        "How long a chat is answered where it was answered last, in seconds: providers keep what they have read for about as long.",
        default=3600,
        minimum=1,
        maximum=604_800,
    )
    scripted_token_ms: float = setting(
        "Pause of the scripted model between tokens, in milliseconds.", default=0.0, minimum=0, maximum=60_000
    )

    worker_runs: int = setting("Answers that one worker process makes at once.", default=64, minimum=1, maximum=10_000)
    run_lease_seconds: float = setting(
        "How long a worker owns a run without a sign of life, in seconds.", default=15.0, minimum=0.2, maximum=600
    )
    run_sweep_seconds: float = setting(
        "How often a worker looks for runs that nobody works on, in seconds.", default=2.0, minimum=0.05, maximum=600
    )
    run_cancel_seconds: float = setting(
        "How long the worker of a cancelled run may show no sign of life before another one ends the run, in seconds.",
        default=1.0,
        minimum=0.5,
        maximum=600,
    )
    run_steer_seconds: float = setting(
        "How long a steered answer may go on to the end of its sentence, in seconds.", default=1.0, minimum=0, maximum=60
    )
    run_attempts: int = setting("How many workers a run may lose before it is given up.", default=3, minimum=1, maximum=1000)
    run_flush_ms: float = setting(
        "Tokens are gathered for this long at an answer's beginning, in milliseconds; the first one is not.",
        default=20.0,
        minimum=0,
        maximum=5000,
    )
    run_flush_most_ms: float = setting(
        "Tokens are gathered for this long once an answer has 8 KiB, in milliseconds, and for less before; never shorter than at the "
        "beginning.",
        default=200.0,
        minimum=0,
        maximum=5000,
    )
    run_save_ms: float = setting(
        "A growing answer is saved to PostgreSQL this often at its beginning, in milliseconds.", default=250.0, minimum=10, maximum=60_000
    )
    run_save_most_ms: float = setting(
        "A growing answer is saved to PostgreSQL this often once it has 8 KiB, in milliseconds, and more often before; the log holds "
        "what comes in between.",
        default=1000.0,
        minimum=10,
        maximum=60_000,
    )
    run_log_seconds: int = setting("How long a run's log outlives its last event, in seconds.", default=3600, minimum=1, maximum=604_800)
    run_log_finished_seconds: int = setting(
        "How long a finished run's log is kept for readers, in seconds.", default=600, minimum=1, maximum=604_800
    )
    run_log_max_bytes: int = setting(
        "Most that a run's log holds, in bytes; beyond it the beginning is dropped, and whoever needs it gets a snapshot.",
        default=16_777_216,
        minimum=65_536,
        maximum=1_073_741_824,
    )
    run_coalesce_most_ms: int = setting("Longest `coalesceMs` of `runEvents`, in milliseconds.", default=1000, minimum=0, maximum=60_000)
    run_heartbeat_seconds: float = setting(
        "After how long a silence `runEvents` shows that it is alive, in seconds.", default=15.0, minimum=0.1, maximum=600
    )
    run_stop_seconds: float = setting(
        "How long a stopping worker lets its answers finish, in seconds.", default=20.0, minimum=0, maximum=3600
    )

    worker_jobs: int = setting("Jobs that one worker process does at once.", default=4, minimum=1, maximum=1000)
    job_lease_seconds: float = setting(
        "How long a worker owns a job without a sign of life, in seconds.", default=30.0, minimum=0.2, maximum=3600
    )
    job_beat_seconds: float = setting(
        "How often a job's progress is saved and a cancellation is heard, in seconds.", default=1.0, minimum=0.05, maximum=600
    )
    job_sweep_seconds: float = setting(
        "How often a worker looks for jobs that are due, in seconds.", default=1.0, minimum=0.05, maximum=600
    )
    job_attempts: int = setting("How often a job is begun before it is given up.", default=5, minimum=1, maximum=100)
    job_retry_seconds: float = setting(
        "Pause before a job's second attempt, in seconds; it doubles with each further one, up to five minutes.",
        default=2.0,
        minimum=0,
        maximum=300,
    )

    job_keep_hours: int = setting("How long a job that has ended can still be read, in hours.", default=168, minimum=1, maximum=87_600)

    event_window_hours: int = setting(
        "How long facts are kept for those who come back with a cursor, in hours.", default=72, minimum=1, maximum=8760
    )
    event_replay: int = setting(
        "Most facts of a tenant behind a cursor that are told again; beyond it, clients are asked to load anew.",
        default=10_000,
        minimum=1,
        maximum=10_000_000,
    )
    event_backlog: int = setting(
        "Facts that wait in memory for one subscriber; a slower one reads them from PostgreSQL.", default=256, minimum=1, maximum=100_000
    )
    event_poll_seconds: float = setting(
        "How often a process looks for facts whose hint was lost, in seconds.", default=1.0, minimum=0.05, maximum=60
    )

    message_max_bytes: int = setting("Longest message, in bytes of UTF-8.", default=131_072, minimum=1, maximum=16_777_216)
    message_max_parts: int = setting("Most parts of a message.", default=32, minimum=1, maximum=1000)
    run_parallel_models: int = setting("Most models that answer one message side by side.", default=4, minimum=1, maximum=32)
    chat_fork_messages: int = setting("Most messages that a fork of a chat copies.", default=10_000, minimum=1, maximum=1_000_000)
    chat_fork_seconds: float = setting(
        "A fork that takes longer is given up, in seconds; what there is of it after twice this time is taken away.",
        default=120.0, minimum=1, maximum=3600,
    )  # fmt: skip
    chat_title_max_length: int = setting("Longest title of a chat, in characters.", default=200, minimum=1, maximum=10_000)
    chat_max_participants: int = setting("Most people that a chat is shared with, its owner aside.", default=100, minimum=1, maximum=10_000)
    export_max_messages: int = setting(
        "Most messages of one export of a chat, or of one part of it.", default=10_000, minimum=1, maximum=1_000_000
    )
    export_max_bytes: int = setting(
        "An export of a chat, or a part of it, ends with the message that brings it to so many bytes of UTF-8.",
        default=8_388_608, minimum=1, maximum=1_073_741_824,
    )  # fmt: skip
    chat_max_shares: int = setting("Most links to one chat, the revoked ones included.", default=100, minimum=1, maximum=100_000)
    share_max_users: int = setting("Most people whom one link to a chat is for.", default=100, minimum=1, maximum=10_000)
    share_view_seconds: int = setting(
        "Who follows a link to a chat again within so many seconds is not counted again.", default=1800, minimum=1, maximum=604_800
    )
    feedback_max_tags: int = setting("Most tags of a feedback.", default=10, minimum=0, maximum=1000)
    feedback_tag_max_length: int = setting("Longest tag of a feedback, in characters.", default=50, minimum=1, maximum=1000)
    feedback_max_bytes: int = setting("Longest comment of a feedback, in bytes of UTF-8.", default=4000, minimum=1, maximum=1_048_576)
    metadata_max_bytes: int = setting("Longest `metadata`, in bytes of JSON.", default=16_384, minimum=2, maximum=1_048_576)
    context_compact_percent: int = setting(
        "A branch is summarised when it takes more than this share of what the model can be given, in percent; 100 never.",
        default=80,
        minimum=1,
        maximum=100,
    )
    context_keep_messages: int = setting("Latest messages that no summary covers.", default=6, minimum=0, maximum=10_000)
    context_summary_tokens: int = setting("Longest summary, in tokens.", default=1024, minimum=1, maximum=1_000_000)
    chat_titles: bool = setting("Have a model write a title after the first answer of a chat that nobody has named.", default=True)
    assistants_per_tenant: int = setting("Most assistants of a tenant.", default=500, minimum=0, maximum=10_000)
    assistant_max_bytes: int = setting(
        "Longest instructions of an assistant, in bytes of UTF-8.", default=65_536, minimum=1, maximum=1_048_576
    )
    assistant_max_grants: int = setting("Most people and roles that one assistant is given to.", default=100, minimum=0, maximum=10_000)
    run_context_messages: int = setting("Most messages of a branch that a model is given.", default=200, minimum=1, maximum=100_000)
    search_query_max_length: int = setting("Longest text to search for, in characters.", default=200, minimum=1, maximum=10_000)
    search_sample_messages: int = setting(
        "How many of the newest messages that somebody may read tell their search which of its words are rare.",
        default=256,
        minimum=1,
        maximum=10_000,
    )
    search_read_messages: int = setting(
        "Most messages that are read for one character of a script without spaces, of which the index has pairs only: the newest that the "
        "viewer may read, among four times as many of the tenant's newest that the search's filters let through.",
        default=1000,
        minimum=1,
        maximum=10_000,
    )
    search_read_bytes: int = setting(
        "Most bytes of messages that are read for one character, encrypted; older messages are not looked at.",
        default=4_194_304,
        minimum=1,
        maximum=67_108_864,
    )
    search_read_characters: int = setting(
        "How much of the beginning of each message is looked at for one character, in characters.", default=5000, minimum=1, maximum=131_072
    )
    search_read_points: int = setting(
        "Points for a search for one character, beside what its document costs; never more than half of what a document may cost.",
        default=500,
        minimum=0,
        maximum=1_000_000,
    )
    search_embeddings: str = setting(
        "What makes vectors of messages, by which they are found by meaning: nothing, or the embedded model (`wordllama`).",
        default="off",
        choices=("off", "embedded"),
    )
    search_chunk_length: int = setting(
        "Longest piece of a message that has a vector of its own, in characters.", default=1000, minimum=50, maximum=100_000
    )
    search_chunks: int = setting(
        "Most such pieces of a message; what comes later in it has no vector.", default=16, minimum=1, maximum=1000
    )
    search_candidates: int = setting(
        "Most results by words and most by meaning that a search by meaning ranks.", default=100, minimum=1, maximum=10_000
    )
    search_exact_vectors: int = setting(
        "Up to so many vectors of a tenant are all compared; beyond it an index finds nearly the nearest.",
        default=10_000,
        minimum=0,
        maximum=10_000_000,
    )
    search_least_similarity: float = setting(
        "Least cosine of a message's vector and that of the words looked for.", default=0.3, minimum=-1, maximum=1
    )
    search_highlights: int = setting("Most passages that are shown of something found.", default=3, minimum=1, maximum=100)
    search_highlight_length: int = setting("Longest such passage, in characters.", default=200, minimum=20, maximum=10_000)
    idempotency_hours: int = setting("How long an idempotency key is kept, in hours.", default=24, minimum=1, maximum=720)

    graphql_max_body_bytes: int = setting("Largest request body, in bytes.", default=262_144, minimum=1024, maximum=104_857_600)
    graphql_max_batch: int = setting("Most operations of one request that is a list; 0 takes no lists.", default=0, minimum=0, maximum=100)
    graphql_partial_status: bool = setting(
        "Answer data that comes with errors with status 294, in the media type that has it; off for proxies that know no such status.",
        default=True,
    )
    graphql_max_list_items: int = setting("Most items of a list in variables or in a document.", default=1000, minimum=1, maximum=10**7)
    graphql_max_variables_length: int = setting("Most characters in variables.", default=200_000, minimum=1, maximum=10**9)
    graphql_max_tokens: int = setting("Most lexical tokens of a document.", default=4000, minimum=10, maximum=1_000_000)
    graphql_max_depth: int = setting("Deepest nesting of a document.", default=15, minimum=1, maximum=1000)
    graphql_max_aliases: int = setting(
        "Most aliases of a document, fragments counted where they are used.", default=50, minimum=0, maximum=10_000
    )
    graphql_max_cost: int = setting(
        "Most points a document may cost, before any resolver runs.", default=20_000, minimum=1, maximum=100_000_000
    )
    graphql_max_directives: int = setting("Most directives at one place of a document.", default=5, minimum=1, maximum=1000)
    graphql_max_mutations: int = setting("Most mutations of one operation.", default=5, minimum=1, maximum=1000)
    graphql_max_page: int = setting("Largest page of a connection.", default=100, minimum=1, maximum=10_000)
    rate_limit_principal_points: int = setting(
        "Most points that a person may spend at once, over all their API keys; no bucket holds less than the dearest operation costs.",
        default=60_000,
        minimum=1,
        maximum=1_000_000_000,
    )
    rate_limit_principal_per_second: int = setting(
        "Points that come back to a person each second.", default=1_000, minimum=1, maximum=1_000_000_000
    )
    rate_limit_tenant_points: int = setting("Most points that a tenant may spend at once.", default=600_000, minimum=1, maximum=10**12)
    rate_limit_tenant_per_second: int = setting("Points that come back to a tenant each second.", default=10_000, minimum=1, maximum=10**12)
    rate_limit_address_points: int = setting(
        "Most points that an address (an IPv6 /64) may spend at once without a sign-in.", default=20_000, minimum=1, maximum=1_000_000_000
    )
    rate_limit_address_per_second: int = setting(
        "Points that come back to an address each second.", default=200, minimum=1, maximum=1_000_000_000
    )
    rate_limit_credential_points: int = setting(
        "Most points that an address (an IPv6 /64) may spend at once on credentials that a process does not know; one that counts costs "
        "nothing.",
        default=20_000,
        minimum=1,
        maximum=1_000_000_000,
    )
    rate_limit_credential_per_second: int = setting(
        "Points for credentials that come back to an address each second.", default=200, minimum=1, maximum=1_000_000_000
    )
    rate_limit_alone_percent: int = setting(
        "What each process grants of a bucket by itself while Valkey does not answer, in percent.", default=10, minimum=1, maximum=100
    )
    graphql_unknown_points: int = setting(
        "Points for each thousand characters of a document that the process does not know yet, for reading it, whatever becomes of it.",
        default=10,
        minimum=0,
        maximum=100_000,
    )
    execution: str = setting(
        "How operations run: as `compiled` plans, or by graphql-core alone as `reference`, to compare the two.",
        default="compiled",
        choices=("compiled", "reference"),
    )
    document_cache_seconds: float = setting(
        "How long a process trusts what it found, or did not find, of a document by its id, in seconds; changes are pushed.",
        default=60.0,
        minimum=0,
        maximum=3600,
    )
    document_cache_documents: int = setting(
        "Documents that a process keeps by their ids, and as many ids without one.", default=5000, minimum=1, maximum=1_000_000
    )
    document_uses_seconds: float = setting(
        "How often a process writes down how often documents were used, in seconds.", default=10.0, minimum=0.05, maximum=3600
    )
    document_uses_signed_out: int = setting(
        "Documents of which a process counts uses by those who have not signed in, each time before it writes uses down; uses of more "
        "are not counted.",
        default=200,
        minimum=0,
        maximum=1_000_000,
    )
    tenant_manifests: int = setting("Most manifests of a tenant, drafts among them.", default=500, minimum=1, maximum=1_000_000)
    tenant_document_bytes: int = setting(
        "Most that all documents of a tenant's manifests hold, in bytes.", default=33_554_432, minimum=1024, maximum=10_737_418_240
    )
    manifest_documents: int = setting("Most documents of a manifest.", default=5000, minimum=1, maximum=1_000_000)
    automatic_documents: int = setting(
        "Documents that the clients of a tenant may have registered by themselves at once, where the tenant allows it.",
        default=1000,
        minimum=1,
        maximum=1_000_000,
    )
    automatic_document_seconds: int = setting(
        "How long a document is kept that a client registered by itself, in seconds.", default=86_400, minimum=1, maximum=2_592_000
    )
    automatic_document_characters: int = setting(
        "Longest document that a client may register by itself, in characters.", default=16_384, minimum=1, maximum=1_048_576
    )
    graphql_cached_documents: int = setting("Parsed documents that a process keeps.", default=1000, minimum=1, maximum=1_000_000)
    graphql_cached_characters: int = setting(
        "Characters of the documents that a process keeps for members; twice as many for published ones, a quarter for who is not "
        "signed in. A document takes about a hundred bytes of memory a character.",
        default=262_144,
        minimum=1024,
        maximum=1_000_000_000,
    )
    graphql_planned_fields: int = setting(
        "Fields of all compiled plans that a process keeps; a field takes about a kilobyte. An operation with more is not compiled.",
        default=50_000,
        minimum=1000,
        maximum=10_000_000,
    )
    graphql_cached_answer_seconds: int = setting(
        "Longest that an answer to a query which is marked `@cached` is kept, in seconds; 0 keeps none.",
        default=60,
        minimum=0,
        maximum=3600,
    )
    graphql_cached_answers: int = setting("Most answers that a process keeps.", default=10_000, minimum=1, maximum=10_000_000)
    graphql_cached_answer_bytes: int = setting(
        "Most that the answers take which a process keeps, in bytes; one that takes more than an eighth of it is not kept.",
        default=67_108_864,
        minimum=65_536,
        maximum=1_099_511_627_776,
    )
    socket_max_subscriptions: int = setting("Most subscriptions of one WebSocket.", default=20, minimum=1, maximum=10_000)
    principal_max_subscriptions: int = setting(
        "Most subscriptions of one person in a web process, over all their API keys and connections.",
        default=2000,
        minimum=1,
        maximum=10**6,
    )
    tenant_max_subscriptions: int = setting(
        "Most subscriptions of one tenant in a web process, over all connections.", default=20_000, minimum=1, maximum=10**7
    )
    address_max_connections: int = setting(
        "Most WebSockets and event streams of one network address (IPv6: /64) in a web process; more are refused with 1013 and 429. Behind "
        "a proxy the address is the client's own only with `trusted_proxies`.",
        default=2000,
        minimum=1,
        maximum=10**7,
    )
    http_address_connections: int = setting(
        "Most connections of one network address (IPv6: /64) that a web process has open, whatever they are for; one more is refused with "
        "429. Those of `trusted_proxies` are not counted.",
        default=4000,
        minimum=1,
        maximum=10**7,
    )
    socket_anonymous_seconds: float = setting(
        "How long a WebSocket without a credential stays open on which no operation runs, in seconds.",
        default=60.0,
        minimum=0.1,
        maximum=86_400,
    )
    socket_max_message_bytes: int = setting(
        "Largest WebSocket message of a client, in bytes.", default=262_144, minimum=1024, maximum=16_777_216
    )
    socket_frames: int = setting(
        "Most frames that a client may send at once on a WebSocket, pings and pieces of messages among them; whoever sends more is closed "
        "with 1013.",
        default=500,
        minimum=10,
        maximum=1_000_000,
    )
    socket_frames_per_second: int = setting(
        "How many frames more a client may send each second on a WebSocket.", default=100, minimum=1, maximum=1_000_000
    )
    socket_init_seconds: float = setting("Longest wait for `connection_init`, in seconds.", default=5.0, minimum=0.1, maximum=60)
    socket_flush_ms: float = setting(
        "How long tokens are gathered at most, for one write to each WebSocket, in milliseconds: a process that is telling some rests as "
        "long as that took before it asks for more. 0 never gathers.",
        default=8.0,
        minimum=0,
        maximum=1000,
    )
    socket_backlog_bytes: int = setting(
        "Most that waits in memory for one slow reader of a run, in bytes; beyond it the reader reads the run's log later.",
        default=262_144,
        minimum=1024,
        maximum=67_108_864,
    )
    socket_answers_bytes: int = setting(
        "Most that waits in memory of the results for one WebSocket whose client does not read, in bytes; beyond it the socket is closed "
        "with 1013.",
        default=4_194_304,
        minimum=65_536,
        maximum=1_073_741_824,
    )
    socket_ping_seconds: float = setting("How often the server pings a WebSocket, in seconds.", default=12.0, minimum=0.1, maximum=600)
    http_request_seconds: float = setting(
        "How long a request may take to arrive, in seconds; whoever is slower is cut off.", default=15.0, minimum=0.1, maximum=3600
    )
    http_slowest_bytes_per_second: int = setting(
        "How slowly a client may read an answer, in bytes a second, beside `http_request_seconds`; whoever is slower is cut off.",
        default=4096,
        minimum=1,
        maximum=10**9,
    )
    http_max_head_bytes: int = setting(
        "Longest head of a request, and of what follows its body in chunks, in bytes.", default=65_536, minimum=1024, maximum=16_777_216
    )
    http_max_chunks: int = setting("Most chunks in which a request's body may come.", default=4096, minimum=16, maximum=10_000_000)
    http_max_pipelined: int = setting(
        "Most requests that may wait on a connection while one of them is answered; whoever sends more is cut off.",
        default=64,
        minimum=1,
        maximum=100_000,
    )
    http_compress_bytes: int = setting(
        "Smallest answer that is compressed for who accepts gzip, in bytes; 0 compresses none.", default=1024, minimum=0, maximum=10**9
    )
    server_timing: bool = setting("Tell developers where the time went, in the header `Server-Timing`.", default=False)
    web_keep_alive_seconds: int = setting(
        "How long an idle HTTP connection stays open, in seconds. Longer than any client or load balancer keeps it: whoever sends on a "
        "connection that the server is closing gets a reset instead of an answer.",
        default=75,
        minimum=1,
        maximum=3600,
    )
    web_stop_seconds: int = setting("How long a stopping web process lets requests finish, in seconds.", default=15, minimum=0, maximum=600)

    @property
    def is_development(self) -> bool:
        """Whether development-only pages and shortcuts are on."""
        return self.environment == "development"

    @property
    def cookies_are_secure(self) -> bool:
        """Whether cookies carry `Secure`: everywhere but on plain HTTP."""
        return self.public_url.startswith("https://")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises `SettingsError` with the first thing that is wrong."""
        given = os.environ if environment is None else environment
        known = {PREFIX + one.name.upper(): one for one in fields(cls)}
        values: dict[str, Any] = {}
        for name in sorted(key for key in given if key.startswith(PREFIX)):
            one = known.get(name) or known.get(name.removesuffix("_FILE"))
            if one is None:
                raise SettingsError(f"{name} is not a setting of PENNY; `penny settings` lists them.")
            if name not in known and one.name in values:
                raise SettingsError(f"{name} and {name.removesuffix('_FILE')} are both set; keep one.")
            values[one.name] = _parsed(name, given[name] if name in known else _content(name, given[name]), one)
        for name, one in known.items():
            if one.name not in values and one.default is MISSING:
                raise SettingsError(f"{name} is not set: {one.metadata['description']}")
        return cls(**values)


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{name}: {path} cannot be read ({error.strerror}).") from error


def _parsed(name: str, text: str, one: Field[Any]) -> Any:
    choices, low, high = one.metadata["choices"], one.metadata["minimum"], one.metadata["maximum"]
    if one.type in (int, float):
        try:
            number = one.type(text)
        except ValueError:
            raise SettingsError(f"{name} must be a number, not {text!r}.") from None
        if not (low is None or number >= low) or not (high is None or number <= high):
            raise SettingsError(f"{name} must be between {low:,} and {high:,}, not {text}.")
        return number
    if one.type is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
            raise SettingsError(f"{name} must be true or false, not {text!r}.")
        return text.lower() in ("true", "1", "yes", "on")
    if one.type in (Secret, Path):
        return one.type(text)
    if one.type == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if choices and text not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {text!r}.")
    return text


def table() -> str:
    """The settings as a Markdown table, for `docs/settings.md`."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for one in fields(Settings):
        default = "required" if one.default is MISSING else _shown(one.default)
        meaning = str(one.metadata["description"])
        if one.metadata["choices"]:
            meaning += f" One of {', '.join(f'`{choice}`' for choice in one.metadata['choices'])}."
        elif one.metadata["minimum"] is not None:
            meaning += f" From {one.metadata['minimum']:,} to {one.metadata['maximum']:,}."
        lines.append(f"| `{PREFIX}{one.name.upper()}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value in ("", (), Path()):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
