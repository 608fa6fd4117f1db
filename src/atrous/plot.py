"""Pictures by matplotlib: each takes a result, and `ax=` to draw into, and returns the axes.

kernel(kernel_size, dilation)   the taps of a dilated kernel in its span
index_map(taps)                 which inputs one output of a layer reads, padding apart
coverage(cover)                 path counts of an output, holes in orange
stack(tree)                     the tree of routes through a 1-D stack, from one output down
growth(report)                  field size over depth, branches as lines of their own
matrix(linear_map)              the bands of an operation's sparse matrix
effective_field(found)          how much each input weighs, with the radius that holds a share
compare(before, after)          two effective fields side by side
spectrum(found)                 what layers pass from frequency 0 to pi, images marked
schedule(plan)                  the routes of a planned or named schedule, holes in orange
cost(designs)                   parameters, multiply-accumulates and memory side by side

Without `ax` a picture gets a figure of its own from pyplot, which notebooks show at once. Needs
`atrous[plot]`; matplotlib is imported when the first picture is drawn. As text for terminals:
`atrous.picture`.
"""

from atrous.report.plot.cost import cost as cost
from atrous.report.plot.coverage import coverage as coverage
from atrous.report.plot.effective_field import compare as compare
from atrous.report.plot.effective_field import effective_field as effective_field
from atrous.report.plot.growth import growth as growth
from atrous.report.plot.index_map import index_map as index_map
from atrous.report.plot.kernel import kernel as kernel
from atrous.report.plot.matrix import matrix as matrix
from atrous.report.plot.schedule import schedule as schedule
from atrous.report.plot.spectrum import spectrum as spectrum
from atrous.report.plot.stack import stack as stack
