"""Networks: what a crop of a person says about pose and surface."""
