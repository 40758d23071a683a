"""Finds the adapter that a pool names, and makes it ready to start.

Called by template and executor; what goes wrong is one line, for the pool's status.
"""

import difflib
import importlib
import pkgutil
import traceback
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from pythonpool.adapter import Adapter, AdapterError
from pythonpool.names import ADAPTER_GROUP
from pythonpool.sdk.commands import commands_of


def load_adapter(spec: str, config: Mapping[str, Any] | None = None) -> Adapter:
    """The adapter of a pool, checked and with its config, before `start()`.

    Args:
        spec: an entry point of group `pythonpool.adapters`, or `module:Class`.
        config: the pool's `spec.config`.

    Raises:
        AdapterError: it can not be found, imported or used; one line.
    """
    found = _by_path(spec) if ":" in spec else _by_name(spec)
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise AdapterError(f'adapter "{spec}" must be a subclass of pythonpool.Adapter')
    commands_of(found)
    try:
        adapter = found()
    except Exception as error:
        raise AdapterError(f'adapter "{spec}" can not be made: {_what(error)}') from error
    adapter.config = _config(spec, found, dict(config or {}))
    return adapter


def _by_name(spec: str) -> Any:
    known = {point.name: point for point in entry_points(group=ADAPTER_GROUP)}
    if spec not in known:
        raise AdapterError(
            f'adapter "{spec}" is not installed{_near(spec, known)}; it must be one of '
            f"{', '.join(sorted(known)) or 'none'} or module:Class"
        )
    return _by_path(known[spec].value, spec)


def _by_path(path: str, spec: str = "") -> Any:
    spec = spec or path
    module_name, _, class_name = path.partition(":")
    if not module_name or not class_name.isidentifier():
        raise AdapterError(f'adapter "{spec}" must be the name of an adapter, or module:Class')
    module = _import(spec, module_name)
    if not hasattr(module, class_name):
        names = [name for name, value in vars(module).items() if _is_adapter(value)]
        raise AdapterError(
            f'adapter "{spec}": module {module_name} has no {class_name}{_near(class_name, names)}'
        )
    return getattr(module, class_name)


def _import(spec: str, module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            names = [module.name for module in pkgutil.iter_modules()]
            raise AdapterError(
                f'adapter "{spec}": there is no module {error.name}{_near(error.name, names)}'
            ) from error
        raise AdapterError(f'adapter "{spec}" can not be imported: {_what(error)}') from error
    except (Exception, SystemExit) as error:  # importing runs the user's code
        raise AdapterError(f'adapter "{spec}" can not be imported: {_what(error)}') from error


def _config(spec: str, cls: type[Adapter], config: dict[str, Any]) -> Any:
    if cls.config_model is None:
        return config
    from pydantic import ValidationError

    try:
        return cls.config_model.model_validate(config)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'config'} {item['input']!r:.80}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise AdapterError(f'config of adapter "{spec}": {" ".join(mistakes.split())}') from None


def _is_adapter(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Adapter) and value is not Adapter


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f', did you mean "{near[0]}"?' if near else ""


def _what(error: BaseException) -> str:
    """Type, message, and where it was raised, in one line."""
    if isinstance(error, SyntaxError):  # it was not raised by the code that it is about
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"[:700]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:600] + where
