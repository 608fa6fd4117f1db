"""Integer index mathematics: which inputs each output of one axis reads.

Usable by itself: `atrous.geometry` needs numpy only.

>>> from atrous import geometry
>>> geometry.effective_kernel(3, dilation=15)
31
>>> two = geometry.Window(3, dilation=2, left=2).relation(16, 16)
>>> four = geometry.Window(3, dilation=4, left=4).relation(16, 16)
>>> both = geometry.compose(four, two)
>>> sorted(both.row(8))
[2, 4, 6, 8, 10, 12, 14]
"""

from atrous.geometry.algebra import compose as compose
from atrous.geometry.algebra import union as union
from atrous.geometry.index_map import IndexMap as IndexMap
from atrous.geometry.index_map import Tap as Tap
from atrous.geometry.index_map import index_map as index_map
from atrous.geometry.lineage import Edge as Edge
from atrous.geometry.lineage import Lineage as Lineage
from atrous.geometry.measures import Uniformity as Uniformity
from atrous.geometry.measures import density as density
from atrous.geometry.measures import hole_free as hole_free
from atrous.geometry.measures import holes as holes
from atrous.geometry.measures import phases as phases
from atrous.geometry.measures import spread as spread
from atrous.geometry.measures import uniformity as uniformity
from atrous.geometry.primitives import Window as Window
from atrous.geometry.primitives import masked as masked
from atrous.geometry.primitives import one_sided as one_sided
from atrous.geometry.relation import Relation as Relation
from atrous.geometry.sizes import conv_length as conv_length
from atrous.geometry.sizes import effective_kernel as effective_kernel
from atrous.geometry.sizes import pool_length as pool_length
from atrous.geometry.sizes import same_padding as same_padding
from atrous.geometry.sizes import transposed_length as transposed_length
