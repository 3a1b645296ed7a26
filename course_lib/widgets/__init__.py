"""Interactive figures: the Python side of each, and the ES modules that draw them."""

from course_lib.widgets.be_the_encoder import BeTheEncoder
from course_lib.widgets.bottleneck import Bottleneck
from course_lib.widgets.divergences import TwoDivergences
from course_lib.widgets.estimators import EstimatorVariance
from course_lib.widgets.traversal import LatentTraversal

__all__ = ["BeTheEncoder", "Bottleneck", "EstimatorVariance", "LatentTraversal", "TwoDivergences"]
