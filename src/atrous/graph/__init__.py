"""From a model to a program: capture, nodes, and one rule per operator family.

What a rule needs is here by name; `docs/teaching-a-rule.md` shows how.
"""

from atrous.graph.rule import Call as Call
from atrous.graph.rule import Description as Description
from atrous.graph.rule import Global as Global
from atrous.graph.rule import Link as Link
from atrous.graph.rule import Local as Local
from atrous.graph.rule import Movement as Movement
from atrous.graph.rule import Pointwise as Pointwise
from atrous.graph.rule import Read as Read
from atrous.graph.rule import forget_rule as forget_rule
from atrous.graph.rule import identity_links as identity_links
from atrous.graph.rule import replay as replay
from atrous.graph.rule import rule as rule
from atrous.graph.rule import whole as whole
