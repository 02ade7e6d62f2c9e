"""What frozen backbones say of images, and what is learned from it."""

WEIGHTS = "weights"
"""In a rule of features: what computed them. Beside a compiled graph: what it was made of."""
GRAPHS = "graphs-2"
"""The namespace of compiled graphs, in the store of the features that they give."""
