"""Rules on networks of every kind: they do not break, and what they say can be used."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from atrous.geometry.ends import ends
from atrous.graph.capture import capture
from atrous.lint.check import check
from atrous.lint.rule import find_rule, lint_rules
from atrous.lint.subject import Declared, Subject
from checks import finite, input_of
from linting import assert_fix_mends
from networks import draw_network
from oracles import perturbation_support, rows_along

DECLARED = (
    {"causal": True, "field": 9, "length": 5, "stream": True, "tile": True},
    {"causal": True, "reach": 50},
    {"field": 1, "reach": 1},
)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("part", range(4))
def test_findings_can_be_used_and_ends_are_those_of_perturbation(part: int) -> None:
    rows = findings = 0
    for seed in range(30 * part, 30 * part + 30):
        network = draw_network(random.Random(seed))
        x = input_of(network, seed)
        if not finite(network, x):
            continue
        program = capture(network, x)
        for declared in DECLARED:
            subject = Subject(program, network, Declared.of(declared))
            for finding in check(subject, lint_rules().values()):
                findings += 1
                assert finding.message and finding.numbers, finding
                json.dumps(dict(finding.numbers), allow_nan=False)
                rule = find_rule(finding.code)
                assert_fix_mends(network, x, rule, finding, declared=declared)
        subject = Subject(program, network)
        field = subject.traced.field(subject.target)
        for axis in field.axes if field is not None else ():
            if axis.status != "exact" or axis.output_axis is None:
                continue
            found = ends(axis.lineage)
            support = perturbation_support(network, x, axis.axis)
            for output, row in enumerate(rows_along(support, axis.output_axis)):
                read = np.flatnonzero(row)
                if len(read):
                    assert (found.first[output], found.last[output]) == (read[0], read[-1])
                else:
                    assert found.first[output] > found.last[output]
                rows += 1
    assert findings > 50 and rows > 100
