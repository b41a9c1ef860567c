"""The catalogue is whole, and what is wrong with a file of models is said before anything starts."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from inference.catalogue import EMBEDDING_MODEL, Catalogue, CatalogueIsWrong, ProviderEntry, id_of
from inference.deployments import Capability, CredentialOwner, Price, PriceSource
from inference.models import Usage
from inference.offerings import OfferedModel
from inference.platform import platform_offering
from settings import Secret, Settings

CATALOGUE = Catalogue.read()
VALID = """
[[providers]]
key = "acme"
name = "Acme"
wire = "openai"
base_url = "https://api.example.com/v1"
source = "Acme, Prices"
read_on = 2026-01-01
[[providers.models]]
key = "one"
name = "One"
context_tokens = 1000
capabilities = ["TEXT"]
prices = [{ from = 2026-01-01, input = "1", output = "2" }]
"""


def settings_with(**given: Any) -> Settings:
    return Settings(database_url=Secret("x"), database_system_url=Secret("x"), valkey_url=Secret("x"), **given)


def known(key: str) -> OfferedModel:
    model = CATALOGUE.named(key)
    assert model is not None
    return model


@pytest.mark.parametrize("model", CATALOGUE.models.values(), ids=lambda model: model.key)
def test_a_model_of_the_catalogue_is_whole(model: OfferedModel) -> None:
    assert model.id == id_of("model", model.key)
    assert model.provider_id in CATALOGUE.providers
    assert model.capabilities
    assert (Capability.TEXT in model.capabilities) is not (Capability.EMBEDDING in model.capabilities)
    assert model.max_output_tokens is None or model.max_output_tokens <= model.context_tokens
    assert model.prices[-1].effective_to is None
    for price in model.prices:
        assert price.source is PriceSource.CATALOGUE
        assert price.cache_read is None or price.cache_read < price.input
        assert price.cache_write is None or price.cache_write >= price.input
        assert price.long is None or (price.long.input > price.input and price.long.above < model.context_tokens)
        assert price.effective_to is None or price.effective_from is None or price.effective_from < price.effective_to


def test_providers_are_dialled_by_https_and_say_where_their_prices_were_read() -> None:
    dialled = [provider for provider in CATALOGUE.providers.values() if provider.wire is not None]
    assert {"openai", "anthropic", "google", "mistral", "groq"} <= {provider.key for provider in dialled}
    assert all(URL(provider.base_url or "").scheme == "https" for provider in dialled)
    assert {"source", "read_on"} <= set(ProviderEntry.__struct_fields__)


def test_ids_are_the_same_everywhere() -> None:
    assert str(known("openai/gpt-5").id) == "e42cb765-c87b-58a4-9f30-952b25155086"
    assert {model.id for model in Catalogue.read().models.values()} == set(CATALOGUE.models)


def test_a_price_holds_from_its_day_until_the_next_one() -> None:
    sonnet = known("anthropic/claude-sonnet-5")
    before = sonnet.price_at(datetime(2026, 8, 31, 23, 59, 59, tzinfo=UTC), CredentialOwner.PLATFORM)
    after = sonnet.price_at(datetime(2026, 9, 1, tzinfo=UTC), CredentialOwner.PLATFORM)
    assert before is not None
    assert after is not None
    assert (before.output, after.output) == (Decimal(10), Decimal(15))
    assert before.effective_to == after.effective_from
    assert sonnet.price_at(datetime(2020, 1, 1, tzinfo=UTC), CredentialOwner.PLATFORM) is None


def test_a_long_input_costs_the_long_rates_and_a_markup_comes_on_top() -> None:
    price = Price(version="v", input=Decimal(3), output=Decimal(15), long=known("anthropic/claude-sonnet-4-6").prices[0].long)
    at_most = Usage(input_tokens=150_000, output_tokens=1000, cache_read_tokens=50_000)
    beyond = Usage(input_tokens=150_001, output_tokens=1000, cache_read_tokens=50_000)
    assert price.cost(at_most) == Decimal("0.615")
    assert price.cost(beyond) == Decimal("0.952506")
    marked_up = Price(version="v", input=Decimal(1), output=Decimal(0), markup_percent=Decimal("12.5"))
    assert marked_up.cost(Usage(input_tokens=1_000_000, output_tokens=0)) == Decimal("1.125")


@pytest.mark.parametrize(
    ("instead", "of", "told"),
    [
        ('input = "-1"', 'input = "1"', "no amount of money"),
        ('input = "NaN"', 'input = "1"', "no amount of money"),
        ("input = 1.5", 'input = "1"', "text"),
        ('from = 2026-01-01, input = "1", output = "2" }, { from = 2026-01-01', "from = 2026-01-01", "order of their dates"),
        ("prices = []", 'prices = [{ from = 2026-01-01, input = "1", output = "2" }]', "no price"),
        ('capabilities = ["MAGIC"]', 'capabilities = ["TEXT"]', "MAGIC"),
        ('key = "One"', 'key = "one"', "key"),
        ("colour = 1\nkey", "key", "colour"),
        ('replacement = "acme/two"\nkey = "one"', 'key = "one"', "replacement"),
        ("[[", "[[providers]]", "catalogue.toml"),
    ],
)  # fmt: skip
def test_a_catalogue_that_is_wrong_is_refused(tmp_path: Path, instead: str, of: str, told: str) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text(VALID)
    assert len(Catalogue.read(file).models) == 1
    file.write_text(VALID.replace(of, instead, 1))
    with pytest.raises(CatalogueIsWrong, match=told):
        Catalogue.read(file)


def test_the_settings_model_is_the_catalogues_at_its_own_provider_and_this_installations_elsewhere() -> None:
    rented = platform_offering(CATALOGUE, settings_with(model_name="gpt-5"))
    assert rented.default_model_id == known("openai/gpt-5").id
    (place,) = rented.usable(rented.default_model_id)
    assert (place.remote_name, place.owner) == ("gpt-5", CredentialOwner.PLATFORM)
    own = platform_offering(CATALOGUE, settings_with(model_name="gpt-5", model_base_url="http://127.0.0.1:1/v1", model_context_tokens=2048))
    model = own.models[own.default_model_id]
    assert (model.key, model.context_tokens, model.prices) == ("platform/gpt-5", 2048, ())
    assert [found.key for found in own.models.values() if own.usable(found.id)] == [EMBEDDING_MODEL, "platform/gpt-5"]


FILE = """
[[deployments]]
key = "eu"
model = "openai/gpt-5"
base_url = "https://eu.example.com/v1/"
api_key_env = "EU_KEY"
region = "eu"
order = 1
weight = 3
tpm = 1000
[[deployments]]
key = "house"
model = "platform/house-70b"
base_url = "http://10.0.0.1/v1"
[[models]]
key = "house-70b"
name = "House 70B"
context_tokens = 32768
capabilities = ["TEXT", "TOOLS"]
[[prices]]
model = "openai/gpt-5"
prices = [{ from = 2026-01-01, input = "2", output = "20", markup_percent = "10" }]
"""


def test_a_file_brings_further_deployments_models_and_prices(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(FILE)
    offers = platform_offering(CATALOGUE, settings_with(models_file=file, model_name="gpt-5"), {"EU_KEY": "sk-eu"})
    gpt = offers.models[known("openai/gpt-5").id]
    first, second = offers.usable(gpt.id)
    assert (first.base_url, first.order) == ("https://api.openai.com/v1", 0)
    assert (second.base_url, second.region, second.weight, second.tpm) == ("https://eu.example.com/v1", "eu", 3, 1000)
    assert second.secret == "sk-eu"
    assert "sk-eu" not in repr(second)
    price = offers.price_of(gpt, datetime(2026, 2, 1, tzinfo=UTC))
    assert price is not None
    assert (price.source, price.output) == (PriceSource.PLATFORM, Decimal(20))
    with_own_key = gpt.price_at(datetime(2026, 2, 1, tzinfo=UTC), CredentialOwner.TENANT)
    assert with_own_key is not None
    assert with_own_key.source is PriceSource.CATALOGUE
    house = offers.models[id_of("model", "platform/house-70b")]
    assert house.capabilities == {Capability.TEXT, Capability.TOOLS}
    assert offers.price_of(house, datetime(2026, 2, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("instead", "of", "told"),
    [
        ('model = "openai/gpt-0"', 'model = "openai/gpt-5"', "no model 'openai/gpt-0'"),
        ('key = "house"', 'key = "eu"', "same key"),
        ('api_key_env = "NOBODY_SET"', 'api_key_env = "EU_KEY"', "NOBODY_SET"),
        ("weight = 0", "weight = 3", "weight"),
        ('api_key = "secret"', 'region = "eu"', "api_key"),
    ],
)
def test_a_file_that_is_wrong_stops_the_start(tmp_path: Path, instead: str, of: str, told: str) -> None:
    file = tmp_path / "models.toml"
    file.write_text(FILE.replace(of, instead, 1))
    with pytest.raises(CatalogueIsWrong, match=told):
        platform_offering(CATALOGUE, settings_with(models_file=file), {"EU_KEY": "sk-eu"})
    with pytest.raises(CatalogueIsWrong, match="cannot be read"):
        platform_offering(CATALOGUE, settings_with(models_file=tmp_path / "missing.toml"))


def test_the_catalogue_is_not_older_than_a_year() -> None:
    """A reminder for whoever changes it: the newest price was compared with its page when the file was last touched."""
    newest = max(price.effective_from for model in CATALOGUE.models.values() for price in model.prices if price.effective_from)
    assert newest.date() >= date(2026, 1, 1)
