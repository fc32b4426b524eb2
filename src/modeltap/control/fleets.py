"""What an endpoint runs: a fleet, its own copy of an endpoint config and of the models it names.

The copy is why a config or a model can be deleted while an endpoint uses it (contract §2.5: the
SDK deletes the config first), and why a fleet can be built again after a restart from the state
database alone. A fleet never changes but for its shares; its id is new each time, so that what is
left of an endpoint deleted yesterday is never taken for a part of today's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modeltap.nouns import Document, Durability, ModelSpec

DURABILITY_TAG = "modeltap:capture-durability"
"""Of an endpoint config: its value is a `Durability`."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a variant gets: weight ≥ 0 relative to the others, and a number of instances."""

    weight: float
    count: int


@dataclass(frozen=True, slots=True)
class Fleet:
    id: str
    config: Document  # a CreateEndpointConfig request
    models: Mapping[str, Document]  # CreateModel requests by model name
    shares: Mapping[str, Share]  # by variant name, in the config's order
    created_ns: int
    deployment: Document | None = None  # the DeploymentConfig it was asked for with
    durability: Durability = Durability.BESTEFFORT  # of its capture

    @property
    def config_name(self) -> str:
        return str(self.config["EndpointConfigName"])


def fleet_of(
    fleet_id: str,
    config: Document,
    models: Mapping[str, Document],
    now_ns: int,
    deployment: Document | None = None,
    durability: Durability = Durability.BESTEFFORT,
) -> Fleet:
    """Copy a validated endpoint config and its models into a new fleet."""
    shares = {
        variant["VariantName"]: Share(
            float(variant.get("InitialVariantWeight", 1.0)), variant["InitialInstanceCount"]
        )
        for variant in config["ProductionVariants"]
    }
    return Fleet(fleet_id, config, models, shares, now_ns, deployment, durability)


def retaining(fleet: Fleet, old: Fleet, *, weights: bool, counts: bool) -> Fleet:
    """Keep the current weights or counts of variants of the same name (contract §1.3)."""

    def kept(name: str, share: Share) -> Share:
        current = old.shares.get(name, share)
        return Share(
            current.weight if weights else share.weight, current.count if counts else share.count
        )

    return replace(fleet, shares={name: kept(name, share) for name, share in fleet.shares.items()})


def model_spec(fleet: Fleet, variant: str) -> ModelSpec:
    """Tell what an instance of a variant hosts."""
    model = fleet.models[variant_config(fleet, variant)["ModelName"]]
    container = primary_container(model)
    return ModelSpec(
        name=model["ModelName"],
        image=container["Image"],
        model_data_url=model_data_url(container),
        environment=container.get("Environment", {}),
    )


def variant_config(fleet: Fleet, name: str) -> Document:
    variants: list[Document] = fleet.config["ProductionVariants"]
    return next(variant for variant in variants if variant["VariantName"] == name)


def primary_container(model: Document) -> Document:
    """Give the one container of a model, in whichever of the two ways it was named."""
    container: Document = model.get("PrimaryContainer") or model["Containers"][0]
    return container


def model_data_url(container: Document) -> str | None:
    """Give the address of a container's archive, in whichever of the two ways it was named."""
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    url: str | None = container.get("ModelDataUrl") or source.get("S3Uri")
    return url


# ---------------------------------------------------------------- as a document in `state`


def fleet_document(fleet: Fleet) -> Document:
    return {
        "Id": fleet.id,
        "Config": fleet.config,
        "Models": dict(fleet.models),
        "Shares": [[name, share.weight, share.count] for name, share in fleet.shares.items()],
        "CreatedNs": fleet.created_ns,
        "Deployment": fleet.deployment,
        "Durability": fleet.durability.value,
    }


def fleet_from(document: Document) -> Fleet:
    return Fleet(
        id=document["Id"],
        config=document["Config"],
        models=document["Models"],
        shares={name: Share(weight, count) for name, weight, count in document["Shares"]},
        created_ns=document["CreatedNs"],
        deployment=document["Deployment"],
        durability=Durability(document.get("Durability", Durability.BESTEFFORT)),
    )
