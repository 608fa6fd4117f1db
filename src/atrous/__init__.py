"""Know exactly which inputs every output of a convolutional network sees.

receptive_field(model, x)   the field of an output or any node: size, stride, start, reach, status
branches(model, x)          the fields of the branches that meet last before a node
effective_field(model, x)   how much each input weighs, by gradients on data
inspect(model, x)           every node: a report that prints as a table, .to_json(), .to_html()
coverage(model, x, at=None) path counts on the input for one output: holes, density, evenness
hidden_perturbation(model, x)  a change of the input that an output cannot see, with the proof
matrix(model, x)            a linear model, or a linear part of one, as a sparse matrix
spectrum(model, x)          every layer's frequency response: passbands, images, gains
aliasing(model, x)          how much of each strided layer's output its stride folds
chain_response(model, x, f) layers in a row as one filter
limiting_branch(model, x)   which of the branches that meet passes the highest frequencies
frequency_response(w, f), alias_energy(w, stride=), safe_stride(w_c, d)   for single weights
cost(model, x)              parameters, MACs and activation memory, by node and by module
compare(designs, x)         designs side by side: field, cost, time, what shifts do
lint(model, x)              findings: what is wrong, where, with which numbers, and how to mend it
accelerate(model, x)        the same model, each convolution computed in the fastest exact way
densify(model, x, output_stride=8)   the same model at a smaller stride, equal values, proven
schedule(field, kernel=3)   the best dilations for a goal, with proof, a certificate and the code
schedules                   named ones as values that know what they read: schedules.wavenet()
redesign(model, x)          the same model with dilations that leave no holes, and the same field
routes(model, x, at=None)   the positions of every layer between one output and the input: a tree
plot                        pictures of all of it by matplotlib: plot.coverage(...), plot.stack(...)
picture(result)             the same as text, for terminals
rule("namespace.name")      teach how an operator reads its inputs
geometry                    the index mathematics by itself: relations, index maps, sizes
ops                         conv1d, conv2d, conv3d, the functions behind `accelerate`
nn                          modules: the stationary wavelet transform
"""

from importlib.metadata import version as _version

from atrous import geometry as geometry
from atrous import nn as nn
from atrous import ops as ops
from atrous import plot as plot
from atrous import schedules as schedules
from atrous.analysis.coverage.blind import BlindPerturbation as BlindPerturbation
from atrous.analysis.coverage.coverage import Coverage as Coverage
from atrous.analysis.coverage.route_tree import RouteTree as RouteTree
from atrous.analysis.effective.effective import EffectiveField as EffectiveField
from atrous.analysis.fields.field import AxisField as AxisField
from atrous.analysis.fields.field import Field as Field
from atrous.analysis.matrix.matrix import LinearMap as LinearMap
from atrous.analysis.matrix.matrix import NonlinearError as NonlinearError
from atrous.api.accelerate import accelerate as accelerate
from atrous.api.aliasing import alias_energy as alias_energy
from atrous.api.aliasing import aliasing as aliasing
from atrous.api.aliasing import limiting_branch as limiting_branch
from atrous.api.aliasing import safe_stride as safe_stride
from atrous.api.blind import hidden_perturbation as hidden_perturbation
from atrous.api.cost import compare as compare
from atrous.api.cost import cost as cost
from atrous.api.coverage import coverage as coverage
from atrous.api.densify import densify as densify
from atrous.api.effective import effective_field as effective_field
from atrous.api.fields import branches as branches
from atrous.api.fields import receptive_field as receptive_field
from atrous.api.inspect import inspect as inspect
from atrous.api.lint import lint as lint
from atrous.api.matrix import matrix as matrix
from atrous.api.picture import picture as picture
from atrous.api.redesign import redesign as redesign
from atrous.api.routes import routes as routes
from atrous.api.schedule import schedule as schedule
from atrous.api.spectrum import chain_response as chain_response
from atrous.api.spectrum import frequency_response as frequency_response
from atrous.api.spectrum import spectrum as spectrum
from atrous.convert.acceleration import Acceleration as Acceleration
from atrous.convert.certificate import Certificate as Certificate
from atrous.convert.densities import DensifyError as DensifyError
from atrous.design.redesign.result import RedesignError as RedesignError
from atrous.design.schedule.plan import Plan as Plan
from atrous.design.schedule.relaxation import ImpossibleScheduleError as ImpossibleScheduleError
from atrous.design.schedule.verify import InvalidPlanError as InvalidPlanError
from atrous.graph.rule import rule as rule
from atrous.graph.shell import CaptureError as CaptureError
from atrous.lint.finding import Finding as Finding
from atrous.report.notebook import fragments as _fragments  # noqa: F401 - results learn to show themselves
from atrous.report.notebook import schedules as _schedules  # noqa: F401 - likewise
from atrous.report.results.comparison import Comparison as Comparison
from atrous.report.results.cost import Cost as Cost
from atrous.report.results.findings import Findings as Findings
from atrous.report.results.redesign import Redesigned as Redesigned
from atrous.report.results.report import Report as Report

__version__ = _version("atrous")
