"""Know exactly which inputs every output of a convolutional network sees."""

from atrous import geometry as geometry
from atrous.analysis.field import AxisField as AxisField
from atrous.analysis.field import Field as Field
from atrous.api import branches as branches
from atrous.api import inspect as inspect
from atrous.api import receptive_field as receptive_field
from atrous.graph.rule import rule as rule
from atrous.graph.shell import CaptureError as CaptureError
from atrous.report.report import Report as Report
