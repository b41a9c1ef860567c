"""The curated file of models that anybody can rent, with dated public prices; read once a process, and refused unless it is whole."""

import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, TypeVar
from uuid import UUID, uuid5

import msgspec

from inference.deployments import Capability, LongRates, Price, PriceSource, Wire
from inference.offerings import ModelProvider, OfferedModel
from settings import SettingsError

FILE: Final = Path(__file__).with_name("catalogue.toml")
# Ids are made of keys in this space, so that every installation knows a model by the same id.
SPACE: Final = UUID("6f2c1f0e-9d1b-5d0a-8a4e-7f6a0c3b52d1")
EMBEDDED: Final = "embedded"
EMBEDDING_MODEL: Final = "embedded/wordllama"

Key = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._:/-]{0,99}$")]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
T = TypeVar("T")


class LongEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    above: Tokens
    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None


class PriceEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, rename={"effective_from": "from"}):
    """A price from the first moment of a day (UTC) until the next entry's; amounts are texts, so that none is ever a float."""

    effective_from: date
    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    long: LongEntry | None = None
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")] = "USD"
    markup_percent: Decimal | None = None


class ModelEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model; `key` is what its provider calls it."""

    key: Key
    name: str
    context_tokens: Tokens
    capabilities: tuple[Capability, ...]
    prices: tuple[PriceEntry, ...] = ()
    max_output_tokens: Tokens | None = None
    deprecated_on: date | None = None
    replacement: str | None = None


class ProviderEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A provider; `source` names the page that its prices were read from, on the day `read_on`."""

    key: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")]
    name: str
    wire: Wire | None = None
    source: str
    read_on: date
    models: tuple[ModelEntry, ...]
    base_url: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    providers: tuple[ProviderEntry, ...]


class CatalogueIsWrong(SettingsError):
    """A file of models says something that cannot be; the text names it."""


class Catalogue(msgspec.Struct, frozen=True):
    """What the file says, by id."""

    providers: dict[UUID, ModelProvider]
    models: dict[UUID, OfferedModel]

    @classmethod
    def read(cls, path: Path = FILE) -> "Catalogue":
        """Read and check the file; raises `CatalogueIsWrong`."""
        entries = read_toml(path, _File).providers
        providers = {one.id: one for one in (provider_of(entry) for entry in entries)}
        models = {
            id_of("model", f"{entry.key}/{model.key}"): offered(model, entry.key, f"{entry.key}/{model.key}")
            for entry in entries
            for model in entry.models
        }
        _check_counts(entries, providers, models)
        return cls(providers, models)

    def named(self, key: str) -> OfferedModel | None:
        """Find a model by its whole key, such as `openai/gpt-5`."""
        return self.models.get(id_of("model", key))


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file as a struct; raises `CatalogueIsWrong`."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(), parse_float=_not_exact), kind)
    except OSError as error:
        raise CatalogueIsWrong(f"{path} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CatalogueIsWrong(f"{path}: {error}") from error


def _not_exact(text: str) -> float:
    raise CatalogueIsWrong(f"{text} may not be exact: write an amount of money as text, as in {text!r}.")


def id_of(kind: str, key: str) -> UUID:
    """The id of what has this key in a file: the same everywhere and always."""
    return uuid5(SPACE, f"{kind}/{key}")


def provider_of(entry: ProviderEntry) -> ModelProvider:
    return ModelProvider(id=id_of("provider", entry.key), key=entry.key, name=entry.name, wire=entry.wire, base_url=entry.base_url)


def offered(entry: ModelEntry, provider: str, key: str, source: PriceSource = PriceSource.CATALOGUE) -> OfferedModel:
    return OfferedModel(
        id=id_of("model", key),
        key=key,
        name=entry.name,
        provider_id=id_of("provider", provider),
        remote_name=entry.key,
        context_tokens=entry.context_tokens,
        max_output_tokens=entry.max_output_tokens,
        capabilities=frozenset(entry.capabilities),
        prices=prices_of(entry.prices, key, source),
        deprecated_on=entry.deprecated_on,
        replacement_id=None if entry.replacement is None else id_of("model", entry.replacement),
    )


def prices_of(entries: Sequence[PriceEntry], key: str, source: PriceSource) -> tuple[Price, ...]:
    """Date prices: each ends where the next begins. Raises `CatalogueIsWrong`."""
    starts = [entry.effective_from for entry in entries]
    if starts != sorted(set(starts)):
        raise CatalogueIsWrong(f"The prices of {key} are not in the order of their dates.")
    ends: list[date | None] = [*starts[1:], None]
    return tuple(_price(entry, end, key, source) for entry, end in zip(entries, ends, strict=False))


def _price(entry: PriceEntry, end: date | None, key: str, source: PriceSource) -> Price:
    amounts = (entry.input, entry.output, entry.cache_read, entry.cache_write, entry.reasoning)
    if any(amount is not None and not (amount.is_finite() and amount >= 0) for amount in amounts):
        raise CatalogueIsWrong(f"A price of {key} is no amount of money.")
    version = f"{source.value.lower()}/{key}/{entry.effective_from}"
    return Price(
        id=id_of("price", version),
        version=version,
        source=source,
        currency=entry.currency,
        input=entry.input,
        output=entry.output,
        cache_read=entry.cache_read,
        cache_write=entry.cache_write,
        reasoning=entry.reasoning,
        long=None if entry.long is None else LongRates(**msgspec.structs.asdict(entry.long)),
        markup_percent=entry.markup_percent,
        effective_from=_midnight(entry.effective_from),
        effective_to=None if end is None else _midnight(end),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _check_counts(entries: Sequence[ProviderEntry], providers: dict[UUID, ModelProvider], models: dict[UUID, OfferedModel]) -> None:
    if len(providers) != len(entries) or len(models) != sum(len(entry.models) for entry in entries):
        raise CatalogueIsWrong("Two providers or two models have the same key.")
    for model in models.values():
        if not model.prices or (model.replacement_id is not None and model.replacement_id not in models):
            raise CatalogueIsWrong(f"{model.key} has no price, or a replacement that is not here.")
