"""Overrides of a config by dotted key: every one must be read by some part of the run.

MMEngine merges any key into a config. One that nothing reads does nothing, or ends the run minutes
later, so `check_options` walks down each key before anything is set up.
"""

from __future__ import annotations

import contextlib
import difflib
import dis
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import closest, did_you_mean, show, show_list
from mmdet_multigrain.utils.nested import dicts

# What a run reads from its config in addition to the arguments of a Runner and the resolver's keys.
_OPTIONAL_KEYS = tuple(
    'activation_checkpointing allow_random_frozen allow_unmatched_checkpoint compile '
    'efficient_conv_bn_eval fast_loading find_unused_parameters load_box_head model_wrapper_cfg '
    'sync_bn tta_model tta_pipeline'.split()
)
# What builders take out of an entry before its class gets the rest.
_BUILDERS_KEYS = frozenset(
    'type _scope_ _delete_ priority constructor paramwise_cfg convert_to_iter_based requires_grad '
    'override fallback_on_stride split_thr class_agnostic'.split()
)
# Entries whose keys are names of the user's, or arguments of functions outside the registries.
_FREE = frozenset(
    'activation_checkpointing backend_args class_sets compile custom_imports custom_keys dist_cfg '
    'eval_taxonomy metainfo model_wrapper_cfg taxonomy'.split()
)
# Modules that read entries without a `type`, next to those of the classes in the section.
_READERS = (
    'mmengine.runner.runner',
    'mmengine.optim.optimizer.default_constructor',
    'mmengine.utils.dl_utils.setup_env',
    'mmdet_multigrain.datasets.transforms.fast_loading',
    'torch.nn.utils.clip_grad',
)
_KINDS = ('type', 'constructor')
Sources: TypeAlias = Mapping[str, Iterable[tuple[str, str]]]
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_options(
    cfg: Any, options: Mapping[str, Any], *, path: Path, keys: Iterable[str], sources: Sources
) -> None:
    """Refuse overrides that no part of a run reads.

    A key that the config lacks is accepted if the class that its entry is built from takes it.

    Args:
        cfg (mmengine.config.Config): The config, without the overrides.
        options: Overrides by dotted key.
        path: File of the config, for messages.
        keys: What a run reads at the top level in addition to MMEngine's Runner.
        sources: The entries that are filled in from keys at the top level, as `resolver.TABLE`.

    Raises:
        ConfigError: One line that names what may have been meant.
    """
    from mmengine.runner import Runner

    read = {*inspect.signature(Runner).parameters, *_OPTIONAL_KEYS, *keys}
    for option, value in options.items():
        key = option.partition('.')[0]
        if key in read:
            problem = _problem_below(cfg, option, value, options, sources)
        elif key in cfg:
            rest = option.removeprefix(key)
            places = ', '.join(f'{place}{rest}' for place in _places(cfg, key))
            places = places or 'the entries made of it'
            problem = f'{key!r} is a variable of {path}, used only while it is read; set {places}'
        else:
            hint = did_you_mean(key, sorted(read)) or _mean(_places(cfg, key))
            problem = f'{path} has no {key!r}{hint or "; no part of a run reads it"}'
        if problem:
            raise ConfigError(f'--cfg-options {option}: {problem}')


def _problem_below(
    cfg: Any, option: str, value: Any, options: Mapping[str, Any], sources: Sources
) -> str | None:
    """What is wrong with a key below a known one at the top level."""
    first, *steps = option.split('.')
    node, place = cfg.get(first, {}), first
    for step in steps:
        if isinstance(node, list):
            if not (step.isdigit() and int(step) < len(node)):
                more = '; set default_hooks.ema.type=EMAHook for a new hook (here EMAHook)'
                return f'{place} is a list with the entries {_entries(node)}' + (
                    more if place == 'custom_hooks' else ''
                )
            node = node[int(step)]
        elif isinstance(node, Mapping):
            if step not in node and not _FREE & {*place.split('.')}:
                if problem := _unread(cfg, place, node, step, options):
                    return problem
            node = node.get(step, {})
        else:
            entry = place.rpartition('.')[2]
            filled = [key for key, places in sources.items() if (first, entry) in places]
            fix = f'{filled[0]}{option.removeprefix(place)}' if filled else 'it as a whole'
            return f'{place} is {show(node)}, without entries; set {fix}'
        place = f'{place}.{step}'
    if steps and steps[-1] == 'type' and isinstance(value, str) and not _kinds(value):
        old = _get(cfg, option)
        if old is not None and not _kinds(old):  # of no registry, but of a name that a class knows
            return None
        names = {name for registry in _registries(old) for name in registry.module_dict}
        return f'{value!r} is not registered{did_you_mean(value, sorted(names))}'
    return None


def _unread(
    cfg: Any, place: str, node: Mapping[str, Any], step: str, options: Mapping[str, Any]
) -> str | None:
    """What is wrong with a key that an entry lacks; None if something reads it."""
    kind = options.get(f'{place}.type', node.get('type'))
    what, near, takes_any = f'{place} has no {step!r}', sorted(node), False
    if place == 'default_hooks':
        otherwise, known = f'a new hook needs {place}.{step}.type', set(node)
        if f'{place}.{step}.type' in options:
            return None
    elif kind is None:
        otherwise, known = 'nothing reads it', _words(cfg, place, options)
    else:
        own = {key.removeprefix(f'{place}.'): value for key, value in options.items()}
        known, takes_any = _arguments(kind, {**node, **own})
        what = f'{place} ({_name(kind)}) takes no {step!r}'
        otherwise, near = f'it takes {show_list(sorted(known)) or "none"}', sorted(known | {*node})
    if step in known or step in _BUILDERS_KEYS or step in _taken_above(cfg, place):
        return None
    # Where there are many names, or any is taken, only a very similar one is meant.
    similar = did_you_mean(step, difflib.get_close_matches(step, sorted(known), cutoff=0.75))
    if takes_any and not similar:
        return None
    hint = did_you_mean(step, near) or similar
    if place == 'train_cfg' and closest(step, ('epochs', 'max_epochs', 'max_iters')):
        return f'{what}; set epochs or max_iters, which the schedule follows, too'
    section = place.partition('.')[0]
    inside = _mean(_places(cfg.get(section, {}), step, f'{section}.'))
    return what + (inside or hint or f'; {otherwise}')


def _entries(node: list[Any]) -> str:
    kinds = (_name(part.get('type')) if isinstance(part, Mapping) else show(part) for part in node)
    return ', '.join(f'{number} ({kind})' for number, kind in enumerate(kinds))


def _name(kind: Any) -> str:
    return getattr(kind, '__name__', str(kind))


def _mean(places: Iterable[str]) -> str:
    """The end of a message that names up to three places; nothing without any."""
    found = [show(place) for place in places][:3]
    return f'; did you mean {" or ".join(found)}?' if found else ''


def _places(cfg: Any, name: str, prefix: str = '') -> Iterator[str]:
    """Dotted keys of the entries of that name below the top level."""
    for key, value in enumerate(cfg) if isinstance(cfg, list) else cfg.items():
        if prefix and key == name:
            yield f'{prefix}{key}'
        elif isinstance(value, Mapping | list):
            yield from _places(value, name, f'{prefix}{key}.')


def _get(cfg: Any, option: str) -> Any:
    """The value of a dotted key; None without one."""
    for step in option.split('.'):
        cfg = cfg[int(step)] if isinstance(cfg, list) else (cfg or {}).get(step)
    return cfg


def _registries(name: Any) -> list[Any]:
    """The registries that have a name; all of them if none has."""
    from mmdet import registry as of_mmdet
    from mmengine import registry as of_mmengine

    parts = [*vars(of_mmengine).values(), *vars(of_mmdet).values()]
    every = [part for part in parts if isinstance(part, of_mmengine.Registry)]
    return [registry for registry in every if name in registry.module_dict] or every


def _kinds(kind: Any) -> list[Callable[..., Any]]:
    """What a `type` may stand for: registries may share a name."""
    if not isinstance(kind, str):
        return [kind]
    import mmcv.ops

    found = [registry.module_dict.get(kind) for registry in _registries(kind)]
    found.append(getattr(mmcv.ops, kind, None))  # layers and functions that no registry has
    if '.' in kind:  # mmdet.ResNet, torch.nn.ReLU
        with contextlib.suppress(Exception):  # what it raises depends on MMEngine's version
            found.append(_registries('FasterRCNN')[0].get(kind))
    return [made for made in found if callable(made)]


def _arguments(kind: Any, node: Mapping[str, Any]) -> tuple[set[str], bool]:
    """The arguments of all that a `type` may stand for, and whether one takes any other, too."""
    names: set[str] = set()
    takes_any = not (kinds := _kinds(kind))
    for made in kinds:
        defaults, more = _signature(made)
        # RandomResize(resize_type='Resize', **resize_kwargs) passes the rest to that class.
        passed_to = [name for name in defaults if name.endswith('_type')] if more else []
        for name in passed_to:
            inner, more = _arguments(node.get(name, defaults[name]), {})
            names |= inner
        names |= defaults.keys()
        takes_any |= more
    return names - {'self'}, takes_any


def _signature(made: Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """The arguments of a function or class, and of its bases if it passes others on to them.

    By name, with their defaults; and whether it takes any other.
    """
    defaults: dict[str, Any] = {}
    passes_on: list[bool] = []
    for owner in _mro(made):
        function = vars(owner).get('__init__') if inspect.isclass(owner) else owner
        if not inspect.isfunction(inspect.unwrap(function)):
            continue
        parameters = inspect.signature(function).parameters.values()
        rest = [one.name for one in parameters if one.kind is one.VAR_KEYWORD]
        own = {one.name: one.default for one in parameters if one.kind not in _REST}
        defaults = own | defaults
        passes_on.append(bool(rest) and _uses(function, rest[0]))
        if not passes_on[0]:
            break
    return defaults, bool(passes_on) and all(passes_on)


def _uses(function: Callable[..., Any], name: str) -> bool:
    """Whether a function does something with an argument; `**kwargs` may only swallow."""
    steps = dis.get_instructions(inspect.unwrap(function))
    return any(name in str(step.argval) for step in steps if 'LOAD' in step.opname)


def _taken_above(cfg: Any, place: str) -> set[str]:
    """What the classes above an entry take out of it: DETR's head reads its loss's bg_cls_weight."""
    steps = place.split('.')
    above = [_get(cfg, '.'.join(steps[:number])) for number in range(1, len(steps))]
    kinds = [node['type'] for node in above if isinstance(node, Mapping) and node.get('type')]
    owners = {owner for kind in kinds for made in _kinds(kind) for owner in _mro(made)}
    sources = map(_source, {owner.__module__ for owner in owners})
    return {word for source in sources for word in re.findall(r"""(?:get|pop)\('(\w+)'""", source)}


def _words(cfg: Any, place: str, options: Mapping[str, Any]) -> set[str]:
    """Attributes, keys and arguments in the source of what reads an entry without a `type`.

    Of a section that is MMEngine's. Below it also of the classes in that section, and of what they
    import: layers such as those of DETR have no type.
    """
    from torch.utils.data import DataLoader

    section, *below = place.split('.')
    kinds = [part.get(key) for part in dicts(cfg.get(section)) for key in _KINDS]
    own = (option for option in options if option.startswith(f'{section}.'))
    kinds += [options[option] for option in own if option.rpartition('.')[2] in _KINDS]
    classes = [made for kind in kinds if below and kind is not None for made in _kinds(kind)]
    modules = {owner.__module__ for made in classes for owner in _mro(made)}
    for _ in range(1 if {'train_cfg', 'test_cfg'} & {*below} else 2):
        modules |= {name for module in modules for name in _imported(module)}
    found = {*inspect.signature(DataLoader).parameters}
    return found.union(*map(_words_of, modules | {*_READERS}))


@functools.cache
def _imported(module: str) -> set[str]:
    """Modules of OpenMMLab's packages whose classes and functions a module has."""
    parts = vars(importlib.import_module(module)).values()
    names = {str(getattr(part, '__module__', '')) for part in parts if callable(part)}
    return {name for name in names if name.startswith(('mmcv.', 'mmdet.', 'mmengine.'))}


@functools.cache
def _words_of(module: str) -> set[str]:
    return {*re.findall(r"""(?<=[.'"])[a-z_]\w*|\b[a-z_]\w*(?=: |=)""", _source(module))}


@functools.cache
def _source(module: str) -> str:
    try:
        return inspect.getsource(importlib.import_module(module))
    except (OSError, TypeError):  # of a built-in module, or of none
        return ''


def _mro(made: Callable[..., Any]) -> tuple[Any, ...]:
    return inspect.getmro(made) if inspect.isclass(made) else (made,)
