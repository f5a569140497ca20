"""How far the tracker is from the truth. Truth never goes the other way: no stage of the tracker receives it."""
