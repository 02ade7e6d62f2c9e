"""The provenance of a model: an in-toto Statement v1 with the SLSA provenance predicate v1.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://slsa.dev/spec/v1.0/provenance ; neither has a JSON schema, so the forms are stated here.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from graft.adapters.export.reading import Exported
from graft.adapters.lineage import FILES, IMAGES, RECORD, UNKNOWN

Json = dict[str, Any]
Digests = dict[str, Annotated[str, StringConstraints(pattern="^[0-9a-f]+$")]]
TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
Name = Annotated[str, StringConstraints(min_length=1)]


class Form(BaseModel):
    """Base: what the specification does not name is refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Descriptor(Form):
    """A resource, by name and by what tells it: one of uri, digest and content."""

    name: Name | None = None
    uri: Name | None = None
    digest: Digests | None = None
    content: str | None = None
    annotations: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_told(self) -> Self:
        if not (self.uri or self.digest or self.content):
            raise ValueError("one of uri, digest and content is needed")
        return self


class Subject(Form):
    """A registered file."""

    name: Name
    digest: Digests = Field(min_length=1)


class BuildDefinition(Form):
    """What was run, with which options, on what."""

    build_type: Name
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any] = {}
    resolved_dependencies: list[Descriptor]


class Builder(Form):
    """Who ran it."""

    id: Name
    version: dict[str, str] = {}


class Metadata(Form):
    """Which run it was, and when."""

    invocation_id: Name
    started_on: str | None = None
    finished_on: str | None = None


class RunDetails(Form):
    """The run, and what else it left."""

    builder: Builder
    metadata: Metadata
    byproducts: list[Descriptor] = []


class Provenance(Form):
    """SLSA provenance v1."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(Form):
    """in-toto Statement v1."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[Subject] = Field(min_length=1)
    predicate_type: Literal["https://slsa.dev/provenance/v1"]
    predicate: Provenance


def statement_of(exported: Exported, files: Mapping[str, str]) -> Json:
    """The whole statement.

    Args:
        files: SHA-256 of each other file of the folder; who trusts the statement trusts these.
    """
    return {
        "_type": TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": sha256}}
            for name, sha256 in exported.registered.items()
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": _definition(exported),
            "runDetails": _details(exported, files),
        },
    }


def subjects_of(statement: Json) -> dict[str, str]:
    """SHA-256 of each subject, as far as it is stated."""
    subjects = statement.get("subject", [])
    return {each.get("name", "?"): each.get("digest", {}).get("sha256", "") for each in subjects}


def _definition(exported: Exported) -> Json:
    known = exported.known
    return {
        "buildType": "urn:graft:kedro-run:v1",
        "externalParameters": {
            "environment": known("configuration.environment"),
            "overrides": known("configuration.overrides"),
            "commands": sorted({str(stage["command"]) for stage in known("stages")}),
        },
        "internalParameters": {"seeds": known("seeds"), "machine": known("machine")},
        "resolvedDependencies": _materials(exported),
    }


def _materials(exported: Exported) -> list[Json]:
    known, images = exported.known, exported.images or {}
    return [
        _material("images table", f"lineage/{IMAGES}", sha256=exported.sha256(IMAGES)),
        _material("images and truths", "", sha256=images.get("data_sha256", UNKNOWN)),
        _material("truths", "", sha256=images.get("truths_sha256", UNKNOWN)),
        _material("other raw files", f"lineage/{FILES}", sha256=exported.sha256(FILES)),
        _material("data version of DVC", "", md5=known("data.dvc_md5").removesuffix(".dir")),
        _material("backbone", _origin(known("backbone.origin")), sha256=known("backbone.sha256")),
        _material("environment lock", "", sha256=known("lock.sha256")),
        _material("configuration", "", sha256=known("configuration.sha256")),
        _material("code", "", gitCommit=known("code.commit"), gitTree=known("code.tree")),
        _material("uncommitted difference", "", sha256=known("code.diff_sha256")),
        _material("lineage record", f"lineage/{RECORD}", sha256=exported.sha256(RECORD)),
    ]


def _material(name: str, uri: str, **digest: str) -> Json:
    """What is unknown is named with a URN that says so."""
    hexes = {key: value for key, value in digest.items() if _is_hex(value)}
    said: Json = {"name": name}
    if uri:
        said["uri"] = uri
    if hexes:
        return {**said, "digest": hexes}
    stated = next(iter(digest.values()))
    return {**said, "uri": uri or f"urn:graft:{stated}", "annotations": {"status": stated}}


def _is_hex(text: str) -> bool:
    return len(text) >= 32 and set(text) <= set("0123456789abcdef")


def _origin(origin: str) -> str:
    kind, _, rest = origin.partition(" ")
    return f"urn:graft:backbone:{kind}:{rest.replace(' ', '@')}" if rest else ""


def _details(exported: Exported, files: Mapping[str, str]) -> Json:
    run, packages = exported.version["run"], exported.version["exported"]
    metadata = {"invocationId": f"urn:mlflow:run:{run['id']}"}
    for key, name in (("startedOn", "started"), ("finishedOn", "ended")):
        if run[name] != UNKNOWN:
            metadata[key] = run[name]
    return {
        "builder": {"id": "urn:graft:kedro", "version": {"graft": packages["by"]}},
        "metadata": metadata,
        "byproducts": [
            {"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(files.items())
        ],
    }
