"""What the operator offers to every tenant: the one model of the settings, the deployments of a file, and the embedded embeddings."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import msgspec
from yarl import URL

from inference.catalogue import (
    EMBEDDING_MODEL,
    Catalogue,
    CatalogueIsWrong,
    Key,
    ModelEntry,
    PriceEntry,
    id_of,
    offered,
    prices_of,
    read_toml,
)
from inference.deployments import Capability, CredentialOwner, Deployment, Policy, PriceSource, Wire
from inference.offerings import ModelProvider, OfferedModel, Offering, Place
from settings import Secret, Settings

PROVIDER: Final = "platform"
# Names of the settings' own deployment and of the embeddings' one.
OWN: Final = "settings"
_Limit = Annotated[int, msgspec.Meta(ge=1)]


class DeploymentEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A deployment of the operator's; `api_key_env` names the environment variable that holds its key."""

    key: Key
    model: str
    base_url: str
    wire: Wire = "openai"
    api_key_env: str | None = None
    remote_name: str | None = None
    region: str | None = None
    weight: _Limit = 1
    order: int = 0
    tpm: _Limit | None = None
    rpm: _Limit | None = None


class PlatformPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the operator asks for a model, in place of its public price."""

    model: str
    prices: tuple[PriceEntry, ...]


class ModelsFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The file that `PENNY_MODELS_FILE` names: deployments, models that the catalogue lacks (`platform/<key>`), and own prices."""

    deployments: tuple[DeploymentEntry, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    prices: tuple[PlatformPrices, ...] = ()


def platform_offering(catalogue: Catalogue, settings: Settings, environment: Mapping[str, str] = os.environ) -> Offering:
    """Put together what every tenant can ask; raises `CatalogueIsWrong` for a file that is no file of models."""
    file = ModelsFile() if settings.models_file == Path() else read_toml(settings.models_file, ModelsFile)
    provider = ModelProvider(id=id_of("provider", PROVIDER), key=PROVIDER, name="This installation")
    models = dict(catalogue.models)
    for entry in file.models:
        model = offered(entry, PROVIDER, f"{PROVIDER}/{entry.key}", PriceSource.PLATFORM)
        models[model.id] = model
    own = _model_of_settings(catalogue, settings)
    models[own.id] = own
    for priced in file.prices:
        model = _named(models, priced.model)
        more = prices_of(priced.prices, priced.model, PriceSource.PLATFORM)
        models[model.id] = msgspec.structs.replace(model, prices=(*model.prices, *more))
    places = [_place_of_settings(own, settings), *(_place(models, entry, environment) for entry in file.deployments)]
    if find_spec("wordllama") is not None:
        places.append(_embeddings(_named(models, EMBEDDING_MODEL)))
    if len({place.id for place in places}) != len(places):
        raise CatalogueIsWrong(f"{settings.models_file}: two deployments have the same key.")
    providers = {**catalogue.providers, provider.id: provider}
    for place in places:
        # The operator's own key is there, or none is wanted.
        providers[place.provider_id] = msgspec.structs.replace(providers[place.provider_id], needs_key=False)
    return Offering(
        providers=providers,
        models=models,
        places={place.id: place for place in places},
        default_model_id=own.id,
    )


def deployment_of_settings(settings: Settings) -> Deployment:
    """The one place that the settings name, for whoever needs no tenant's offering; its model has no price."""
    place = _place_of_settings(_model_of_its_own(settings), settings)
    return Deployment(
        id=place.id,
        model=_model_of_its_own(settings).as_known(None),
        wire=settings.model_provider,  # type: ignore[arg-type] # the setting's choices are the literals
        base_url=place.base_url,
        remote_name=place.remote_name,
        api_key=settings.model_api_key,
    )


def policy_of_settings(settings: Settings) -> Policy:
    """That one place and no other."""
    return Policy(id=None, name="settings", candidates=(deployment_of_settings(settings),))


def _named(models: Mapping[UUID, OfferedModel], key: str) -> OfferedModel:
    model = models.get(id_of("model", key))
    if model is None:
        raise CatalogueIsWrong(f"There is no model {key!r}, neither in the catalogue nor in the file of models.")
    return model


def _model_of_settings(catalogue: Catalogue, settings: Settings) -> OfferedModel:
    """The catalogue's model of this name where the settings point to its provider; else a model of this installation's own."""
    host = URL(settings.model_base_url).host
    for provider in catalogue.providers.values():
        known = catalogue.named(f"{provider.key}/{settings.model_name}")
        if settings.model_provider != "scripted" and known is not None and host == URL(provider.base_url or "").host:
            return known
    return _model_of_its_own(settings)


def _model_of_its_own(settings: Settings) -> OfferedModel:
    key = f"{PROVIDER}/{settings.model_name}"
    return OfferedModel(
        id=id_of("model", key),
        key=key,
        name=settings.model_name,
        provider_id=id_of("provider", PROVIDER),
        remote_name=settings.model_name,
        context_tokens=settings.model_context_tokens,
        max_output_tokens=settings.model_max_output_tokens,
        capabilities=frozenset({Capability.TEXT, Capability.PREFILL} if _prefills(settings) else {Capability.TEXT}),
    )


def _prefills(settings: Settings) -> bool:
    return settings.model_prefills or settings.model_provider == "scripted"


def _place_of_settings(model: OfferedModel, settings: Settings) -> Place:
    return Place(
        id=id_of("deployment", OWN),
        model_id=model.id,
        provider_id=model.provider_id,
        wire=settings.model_provider,  # type: ignore[arg-type] # the setting's choices are the literals
        base_url=settings.model_base_url,
        remote_name=settings.model_name,
        owner=CredentialOwner.PLATFORM,
        secret=settings.model_api_key,
    )


def _place(models: Mapping[UUID, OfferedModel], entry: DeploymentEntry, environment: Mapping[str, str]) -> Place:
    if entry.api_key_env is not None and not environment.get(entry.api_key_env):
        raise CatalogueIsWrong(f"The deployment {entry.key} needs its key in the environment variable {entry.api_key_env}.")
    model = _named(models, entry.model)
    return Place(
        id=id_of("deployment", entry.key),
        model_id=model.id,
        provider_id=model.provider_id,
        wire=entry.wire,
        base_url=entry.base_url.rstrip("/"),
        remote_name=entry.remote_name or model.remote_name,
        owner=CredentialOwner.PLATFORM,
        secret=Secret("" if entry.api_key_env is None else environment[entry.api_key_env]),
        region=entry.region,
        weight=entry.weight,
        order=entry.order,
        tpm=entry.tpm,
        rpm=entry.rpm,
    )


def _embeddings(model: OfferedModel) -> Place:
    return Place(
        id=id_of("deployment", "embeddings"),
        model_id=model.id,
        provider_id=model.provider_id,
        wire=None,
        base_url="",
        remote_name=model.remote_name,
        owner=CredentialOwner.PLATFORM,
    )
