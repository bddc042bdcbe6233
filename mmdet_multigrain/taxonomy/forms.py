"""How a taxonomy is read and written: the class methods of `Taxonomy` for that.

The forms themselves: `schema` (mapping), `yaml_file`, `coco.hierarchy`,
`converters.openimages_hierarchy`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmdet_multigrain.utils.errors import TaxonomyError, error_source
from mmdet_multigrain.utils.messages import did_you_mean, show

from . import schema, yaml_file
from .files import BUILTIN, builtin_names, read_bytes

if TYPE_CHECKING:
    from .taxonomy import Taxonomy


class TaxonomyForms:
    """Mixin of `Taxonomy`: from names, files and mappings, and back."""

    @classmethod
    def load(cls, spec: Taxonomy | str | os.PathLike[str] | Mapping[str, Any]) -> Taxonomy:
        """Load a taxonomy by name, from a file or from a mapping.

        Args:
            spec: A `Taxonomy` (returned unchanged), a built-in name, the path of a `.yaml`,
                `.yml` or COCO `.json` file, or a mapping (see `from_mapping`).

        Raises:
            TaxonomyError: There is no such taxonomy, or it is not valid.
        """
        if isinstance(spec, cls):
            return spec
        if isinstance(spec, Mapping):
            return cls.from_mapping(spec)
        if not isinstance(spec, (str, os.PathLike)):
            raise TaxonomyError(
                f'a taxonomy cannot be read from {show(spec)}; '
                'give a built-in name, a .yaml or COCO .json file, or a mapping'
            )
        if spec in builtin_names():
            return cls.from_yaml(BUILTIN / f'{spec}.yaml')
        path = Path(spec)
        suffix = path.suffix.lower()
        if suffix in ('.yaml', '.yml'):
            return cls.from_yaml(path)
        if suffix == '.json':
            return cls.from_coco(path)
        raise TaxonomyError(
            f'taxonomy {show(str(spec))} is neither built in ({", ".join(builtin_names())}) nor '
            'a .yaml, .yml or COCO .json file' + did_you_mean(spec, builtin_names())
        )

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], source: object = 'mapping', allow_one_group: bool = False
    ) -> Taxonomy:
        """Read the nested mapping of a YAML file, or only its `groups`.

        >>> Taxonomy.from_mapping({'top': ['shirt', 'coat'], 'bottom': ['jeans']}).classes
        ('shirt', 'coat', 'jeans')
        """
        with error_source(source):
            parsed = schema.parse(mapping, default_name='custom')
            parsed['allow_one_group'] |= allow_one_group
            return cls(**parsed)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Taxonomy:
        """Read a YAML file, such as `to_yaml` writes."""
        with error_source(path):
            mapping = yaml_file.parse(read_bytes(path, yaml_file.MAX_BYTES))
            return cls(**schema.parse(mapping, default_name=Path(path).stem))

    @classmethod
    def from_coco(
        cls, path_or_dict: str | os.PathLike[str] | Mapping[str, Any], source: object = None
    ) -> Taxonomy:
        """Build the hierarchy of a COCO file, or of its content, from the categories' `supercategory`.

        Labels follow the category ids, whatever the order of the categories. `coco.hierarchy` says
        how parents, roots and missing supercategories are read. Messages start with the source, by
        default the path, or `COCO data`.
        """
        from mmdet_multigrain.coco import files, hierarchy  # a higher level

        if isinstance(path_or_dict, Mapping):
            source, name, content = source or 'COCO data', 'coco', path_or_dict
        else:
            source, name = source or path_or_dict, Path(path_or_dict).name
            content = files.load_coco(path_or_dict, error=TaxonomyError).content
        with error_source(source):
            return cls(name, **hierarchy.parse(content))

    @classmethod
    def from_openimages(
        cls,
        hierarchy: str | os.PathLike[str],
        descriptions: str | os.PathLike[str] | None = None,
        node: str | None = None,
    ) -> Taxonomy:
        """Take the classes below a node of Open Images' hierarchy, in alphabetical order.

        `converters.openimages_hierarchy` says how nodes with several parents are read.

        Args:
            hierarchy: `bbox_labels_600_hierarchy.json`.
            descriptions: `class-descriptions-boxable.csv`; with it, label names (`/m/...`) are
                aliases, without it the names of the classes.
            node: Display name or label name; default: the root.
        """
        from mmdet_multigrain.converters import openimages_hierarchy  # a higher level

        read = openimages_hierarchy.read(hierarchy, descriptions)
        with error_source(hierarchy):
            return cls(**read.below(node))

    def to_dict(self) -> dict[str, Any]:
        """The mapping of its YAML file; `load` returns an equal taxonomy."""
        return schema.dump(self)

    def to_yaml(self) -> str:
        """The text of its YAML file, which starts with a comment that explains the keys."""
        return yaml_file.dump(self.to_dict())
