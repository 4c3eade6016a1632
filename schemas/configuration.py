"""A TOML text and an environment become `Settings`, or one error that names every fault with its key.

Variables such as DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS override the file. Nothing is read here but the secrets' files.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import ConfigurationError
from schemas.sections.console import PERSON_NAME_PATTERN
from schemas.sections.endpoints import ENDPOINT_NAME_PATTERN, EndpointSettings
from schemas.settings import Settings, ShipstreamSettings

_VARIABLE_PREFIX = "DROPSTREAM_"
# Named like settings, but not settings: where the file is, and who calls a verb.
_NOT_SETTINGS = frozenset({"DROPSTREAM_CONFIG", "DROPSTREAM_ACTOR"})
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")
# What an annotation may be written inside of; pydantic takes the outermost `Annotated` away itself.
_ALTERNATIVES = frozenset({Annotated, Union, UnionType})
# Tables of tables, each with a name of the user's own.
_NAMED_TABLES: Mapping[int | str, type[BaseModel]] = {"endpoints": EndpointSettings, "shipstream": ShipstreamSettings}
# What the name of such a table must be, by where it stands.
_NAME_RULES = {
    "endpoints": f"an endpoint's name must match {ENDPOINT_NAME_PATTERN}",
    "shipstream": f"an account's name must match {ENDPOINT_NAME_PATTERN}",
    "console": f"a person's name must match {PERSON_NAME_PATTERN}",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What a configuration is read against.

    `providers` are the names that `provider` may have; `signing_secrets` says whether this process may know them (the
    ingress may not, and then they are not looked for); `endpoints_required` is False where the first is still to come.
    """

    environ: Mapping[str, str]
    providers: Collection[str]
    signing_secrets: bool = True
    endpoints_required: bool = True


def read_configuration(text: str, *, source: str, context: Context, started: str | None = None) -> Settings:
    """The settings that `text` (TOML) and the environment give.

    With `started`, an older text, only the endpoints are those of `text`; all other tables are the older ones.

    Raises:
        ConfigurationError: names every fault at once, each with its key and the nearest valid name.
    """
    tree = _parse(text, source)
    if started is not None:
        older = {name: table for name, table in _parse(started, source).items() if name != "endpoints"}
        tree = {**older, **{name: table for name, table in tree.items() if name == "endpoints"}}
    if not context.endpoints_required:
        tree.setdefault("endpoints", {})
    faults = _apply_variables(tree, context.environ)
    settings = None
    try:
        settings = Settings.model_validate(
            tree, context={"environ": context.environ, "signing_secrets": context.signing_secrets}
        )
    except ValidationError as error:
        faults += [_describe(detail) for detail in error.errors(include_url=False, include_input=False)]
    faults += _unknown_providers(tree, context.providers)
    if faults or settings is None:
        raise ConfigurationError(source, tuple(dict.fromkeys(faults)))
    return settings


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(source, (f"not TOML: {error}",)) from error


def _apply_variables(tree: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    faults: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(_VARIABLE_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if "__" not in variable:
            key = variable.removeprefix(_VARIABLE_PREFIX).lower()
            if key in _plain_keys():
                tree[key] = environ[variable]
            continue
        section, _, key = variable.removeprefix(_VARIABLE_PREFIX).lower().partition("__")
        field = Settings.model_fields.get(section)
        model = field.annotation if field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or key not in model.model_fields:
            faults.append(f"environment {variable}: no such setting{_nearest_setting(section, key)}")
            continue
        table = tree.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = _typed(environ[variable], model.model_fields[key].annotation)
    return [*faults, *_mistaken_variables(tree, environ)]


def _mistaken_variables(tree: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    """The faults of variables that name a setting but for its underscores; a variable that holds a secret is none.

    Kubernetes sets DROPSTREAM_INGEST_PORT for a service of that name, to a URL: no setting has such a value.
    https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
    """
    settings = {f"{_VARIABLE_PREFIX}{name.replace('.', '_').upper()}": name for name in _setting_names()}
    plain = {f"{_VARIABLE_PREFIX}{key.upper()}" for key in _plain_keys()}
    secrets = {text.removeprefix("env:") for text in _texts_in(tree)}
    for variable in sorted(environ):
        if not variable.startswith(_VARIABLE_PREFIX) or "__" in variable or variable in secrets | _NOT_SETTINGS:
            continue
        near = difflib.get_close_matches(variable, [*settings, *plain], n=1, cutoff=0.9)
        if not near or variable in plain or _SERVICE_LINK.match(environ[variable]):
            continue
        right = near[0]
        if right in settings:
            right = f"{_VARIABLE_PREFIX}{settings[right].replace('.', '__').upper()}, with two underscores"
        yield f"environment {variable}: no such setting; nearest valid name: {right}"


def _texts_in(value: object) -> Iterator[str]:
    """Every text in a tree of tables and lists."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts_in(inner)


def _typed(text: str, annotation: Any) -> object:
    """`text` as TOML would type it, or as it is where the setting is text."""
    if _is_text(annotation):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _is_text(annotation: Any) -> bool:
    """Whether a value may be text; a list of texts is none."""
    inside = get_args(annotation) if get_origin(annotation) in _ALTERNATIVES else ()
    return annotation is str or any(map(_is_text, inside))


def _nearest_setting(section: str, key: str) -> str:
    return _nearest(f"{section}.{key}", _setting_names())


def _plain_keys() -> list[str]:
    """The settings that stand in no table."""
    return [name for name, field in Settings.model_fields.items() if not _is_table(field.annotation)]


def _is_table(annotation: Any) -> bool:
    return get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel))


def _setting_names() -> list[str]:
    """Every setting of a table that a variable can override, as `table.key`."""
    return [
        f"{name}.{inner}"
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for inner in field.annotation.model_fields
    ]


def _nearest(name: str, valid: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"; nearest valid name: {near[0]}" if near else f"; valid names: {', '.join(sorted(valid))}"


def _describe(detail: ErrorDetails) -> str:
    location = tuple(part for part in detail["loc"] if part != "[key]")
    key = _dotted(location) or "the file"
    if detail["type"] == "extra_forbidden" and location[-1] in _plain_keys():
        return f"{key}: no such setting here; {location[-1]} stands in the first lines, before every table"
    if detail["type"] == "extra_forbidden":
        return f"{key}: no such setting{_nearest(str(location[-1]), _siblings(location))}"
    if "[key]" in detail["loc"]:
        return f"{key}: {_NAME_RULES[str(location[0])]}"
    if detail["type"] == "missing" and location == ("endpoints",):
        return "endpoints: is missing; add a table [endpoints.NAME] with provider and secrets"
    if detail["type"] == "missing":
        return f"{key}: is missing"
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}"


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _siblings(location: tuple[int | str, ...]) -> Collection[str]:
    """The valid names beside the last part of `location`."""
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        if model is Settings and part in _NAMED_TABLES:
            model = _NAMED_TABLES[part]
            continue
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        model = next((one for one in _models_in(inner)), model)
    return model.model_fields.keys()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _unknown_providers(tree: Mapping[str, Any], providers: Collection[str]) -> list[str]:
    endpoints = tree.get("endpoints")
    if not isinstance(endpoints, dict):
        return []
    return [
        f"endpoints.{name}.provider: no such provider{_nearest(provider, providers)}"
        for name, endpoint in endpoints.items()
        if isinstance(endpoint, dict)
        and isinstance(provider := endpoint.get("provider"), str)
        and provider not in providers
    ]
