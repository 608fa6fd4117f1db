"""What is asked of lint: the table `[tool.atrous.lint]` of a `pyproject.toml`, checked.

An unknown key, rule or setting, or a value of another type, is an error that names the nearest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path
from typing import Any, get_args

from atrous.graph.program import nearest
from atrous.lint.finding import SEVERITIES, Severity
from atrous.lint.rule import LintRule, Setting, lint_rules, selected
from atrous.lint.subject import Declared

TABLE = "tool.atrous.lint"
_TOOL, _TABLES = "tool.atrous", ("lint",)

_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text"}


@dataclass(frozen=True)
class Settings:
    """Which rules run, with which settings, and what is shown.

    Attributes:
        select: run these alone; None for the rules that run by default.
        extend_select: run these too.
        ignore: never run these.
        severity: the mildest that is shown.
        declare: what the model is meant to be (see `Declared`).
        per_path_ignores: by a pattern of module paths, the rules whose findings are ignored there.
        rules: by a rule's name, what differs from its defaults.
    """

    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Severity = "warning"
    declare: Mapping[str, Any] = field(default_factory=dict)
    per_path_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)

    def chosen(self) -> list[LintRule]:
        """The rules to run, in order of their codes."""
        known = lint_rules()
        if self.select is None:
            codes = {code for code, rule in known.items() if rule.default}
        else:
            codes = selected(self.select)
        codes = (codes | selected(self.extend_select)) - selected(self.ignore)
        return [rule for code, rule in known.items() if code in codes]

    def declared(self) -> Declared:
        """What the model is meant to be."""
        return Declared.of(self.declare)

    def is_shown(self, severity: Severity) -> bool:
        """Whether a finding of that severity is shown."""
        return SEVERITIES.index(severity) <= SEVERITIES.index(self.severity)

    def ignored_at(self, path: str, code: str) -> bool:
        """Whether `per_path_ignores` ignore a rule at a module path."""
        return any(
            code in selected(codes)
            for pattern, codes in self.per_path_ignores.items()
            if fnmatchcase(path, pattern)
        )

    def unmatched(self, paths: Iterable[str]) -> dict[str, str]:
        """The patterns of `per_path_ignores` that match no path, and which path may be meant."""
        known = list(paths)
        return {
            pattern: nearest(pattern, known)
            for pattern in self.per_path_ignores
            if not any(fnmatchcase(path, pattern) for path in known)
        }

    def overridden(
        self,
        *,
        select: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        extend_select: str | Iterable[str] | None = None,
        severity: str | None = None,
        declare: Mapping[str, Any] | None = None,
    ) -> Settings:
        """These settings where nothing else is asked for.

        Args:
            select: these rules alone: what the settings select and ignore does not count then.
            ignore: besides what the settings ignore.
            extend_select: besides what the settings select.
            severity: instead of the settings'.
            declare: by name; None leaves what the settings declare.

        Raises:
            ValueError: if a rule or severity does not exist, or a value is not of its type.
        """
        mine = self
        if select is not None:
            mine = replace(mine, select=_several("select", select), extend_select=(), ignore=())
        more = {key: v for key, v in (declare or {}).items() if v is not None}
        mine = replace(
            mine,
            ignore=(*mine.ignore, *_several("ignore", ignore or ())),
            extend_select=(*mine.extend_select, *_several("extend_select", extend_select or ())),
            severity=_severity(severity) if severity is not None else mine.severity,
            declare={**mine.declare, **more},
        )
        mine.declared()
        return mine

    @classmethod
    def of(cls, table: Mapping[str, Any], where: str = "settings") -> Settings:
        """From the table's keys and values, as TOML gives them.

        Raises:
            ValueError: if a key, rule or setting does not exist, or a value is of another type;
                the message names the nearest.
        """
        try:
            return cls._of(table)
        except ValueError as error:
            raise ValueError(f"{error} (in {where})") from None

    @classmethod
    def _of(cls, table: Mapping[str, Any]) -> Settings:
        keys = {f.name.replace("_", "-"): f.name for f in fields(cls) if f.name != "rules"}
        by_name = {rule.name: rule for rule in lint_rules().values()}
        told: dict[str, Any] = {}
        rules: dict[str, Mapping[str, Setting]] = {}
        for key, value in table.items():
            if key in by_name:
                rules[key] = _of_rule(by_name[key], value)
            elif key in ("select", "extend-select", "ignore"):
                told[keys[key]] = _several(key, value)
            elif key == "severity":
                told[key] = _severity(value)
            elif key == "declare":
                Declared.of(_table(key, value))
                told[key] = dict(value)
            elif key == "per-path-ignores":
                told[keys[key]] = {
                    pattern: _several(f"per-path-ignores of {pattern!r}", codes)
                    for pattern, codes in _table(key, value).items()
                }
            else:
                names = {rule.code: rule.name for rule in by_name.values()}
                meant = f" Did you mean {names[key]!r}?" if key in names else ""
                raise ValueError(
                    f"a key must be one of {', '.join(keys)} or the name of a rule, got {key!r}."
                    f"{meant or nearest(key, [*keys, *by_name])}"
                )
        return cls(**told, rules=rules)


def read_settings(path: str | Path) -> Settings:
    """The settings of a `pyproject.toml`; the defaults if it has no such table.

    Raises:
        ValueError: if the file does not exist, is no TOML, or holds what `Settings.of` refuses.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"settings must be an existing file, got {str(path)!r}.")
    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"settings must be TOML, but {str(path)!r} is not: {error}.") from error
    where = ""
    for key in TABLE.split("."):
        where = f"{where}.{key}" if where else key
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise ValueError(f"[{where}] must be a table, got {table!r} (in {path}).")
        unknown = [name for name in table if where == _TOOL and name not in _TABLES]
        if unknown:
            raise ValueError(
                f"[{where}] must hold nothing but {' and '.join(_TABLES)}, got {unknown[0]!r}."
                f"{nearest(unknown[0], _TABLES)} (in {path})"
            )
    return Settings.of(table, f"[{TABLE}] of {path}")


def find_settings(start: Path | None = None) -> Path | None:
    """The nearest `pyproject.toml`, from a folder upwards; None if there is none.

    Args:
        start: the folder; by default the current one.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / "pyproject.toml"
    return None


def _several(key: str, value: object) -> tuple[str, ...]:
    """Selectors as a tuple, each of which names a rule."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, Sequence | set | frozenset | tuple) or not all(
        isinstance(item, str) for item in listed
    ):
        raise ValueError(f"{key} must be a list of codes or names of rules, got {value!r}.")
    selected(list(listed))
    return tuple(listed)


def _severity(value: object) -> Severity:
    for severity in get_args(Severity):
        if value == severity:
            known: Severity = severity
            return known
    raise ValueError(
        f"severity must be one of {', '.join(SEVERITIES)}, got {value!r}."
        f"{nearest(str(value), SEVERITIES)}"
    )


def _table(key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be a table, got {value!r}.")
    return value


def _of_rule(rule: LintRule, value: object) -> Mapping[str, Setting]:
    """A rule's settings, each of its default's type."""
    told = _table(rule.name, value)
    for key, given in told.items():
        if key not in rule.settings:
            known = ", ".join(rule.settings) or "none: the rule has no settings"
            raise ValueError(
                f"a setting of {rule.name} must be one of {known}, got {key!r}."
                f"{nearest(key, rule.settings)}"
            )
        kind = type(rule.settings[key])
        fits = type(given) is kind or (kind is float and type(given) is int)
        if not fits:
            raise ValueError(
                f"{key} of {rule.name} must be {_WORDS[kind.__name__]}, got {given!r}."
            )
        low, high = rule.limits.get(key, (0, inf))
        if isinstance(given, int | float) and not low <= given <= high:
            most = f"from {low:g} to {high:g}" if high < inf else f"of at least {low:g}"
            share = f" For {given:g}% give {given / 100:g}." if high == 1 < given <= 100 else ""
            raise ValueError(
                f"{key} of {rule.name} must be {_WORDS[kind.__name__]} {most}, got {given!r}."
                f"{share}"
            )
    return dict(told)
